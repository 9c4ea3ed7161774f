-- Take back a task of which its client was not told that it is accepted: WITHDRAWN, ABSENT, or KEPT (it runs, or another
-- server has become the key's teller since).
-- KEYS: tasks, accepted, running, state, idempotency key (without one: the tasks again)
-- ARGV: task ID, teller ("" without a key)
local tasks, accepted, running, state, key = unpack(KEYS)
local id, teller = unpack(ARGV)

if redis.call('HEXISTS', tasks, id) == 0 then return 'ABSENT' end
if redis.call('HEXISTS', running, id) == 1 then return 'KEPT' end
if teller ~= '' then
  if redis.call('HGET', key, 'teller') ~= teller then return 'KEPT' end
  redis.call('DEL', key)
end
redis.call('HDEL', tasks, id)
redis.call('ZREM', accepted, id)
redis.call('DEL', state)
return 'WITHDRAWN'
