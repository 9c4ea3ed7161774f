-- Take back a task whose client was told that it is refused: WITHDRAWN, ABSENT, or KEPT (it runs, or another answer said
-- that it is accepted).
-- KEYS: tasks, accepted, running, state, idempotency key (without one: the tasks again)   ARGV: task ID, has a key (1, 0)
local tasks, accepted, running, state, key = unpack(KEYS)
local id, has_key = unpack(ARGV)

if redis.call('HEXISTS', tasks, id) == 0 then return 'ABSENT' end
if redis.call('HEXISTS', running, id) == 1 then return 'KEPT' end
if has_key == '1' then
  if redis.call('HGET', key, 'told') then return 'KEPT' end
  redis.call('DEL', key)
end
redis.call('HDEL', tasks, id)
redis.call('ZREM', accepted, id)
redis.call('DEL', state)
return 'WITHDRAWN'
