-- Take back a task of which its client was not told that it is accepted: WITHDRAWN, ABSENT, or KEPT (a run of it has
-- begun, or another server has become the key's teller since).
-- KEYS: tasks, accepted, attempts, due, state, breaker, idempotency key (without one: the tasks again)
-- ARGV: task ID, teller ("" without a key)
local tasks, accepted, attempts, due, state, breaker, key = unpack(KEYS)
local id, teller = unpack(ARGV)

if redis.call('HEXISTS', tasks, id) == 0 then return 'ABSENT' end
if redis.call('HEXISTS', attempts, id) == 1 or redis.call('HEXISTS', due, id) == 1 then return 'KEPT' end
if teller ~= '' then
  if redis.call('HGET', key, 'teller') ~= teller then return 'KEPT' end
  redis.call('DEL', key)
end
redis.call('HDEL', tasks, id)
redis.call('ZREM', accepted, id)
redis.call('DEL', state)
local at = redis.call('HMGET', breaker, 'state', 'probe')
if at[1] == 'half-open' and at[2] == id then
  redis.call('HSET', breaker, 'state', 'open', 'since', 0, 'probe', '')  -- the next request is the probe
end
return 'WITHDRAWN'
