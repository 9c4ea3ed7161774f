-- Cancel a task: WAITING (it will never run), RUNNING (a worker must be told; it will not run again), or GONE.
-- KEYS: tasks, accepted, running, attempts, due, state, breaker   ARGV: task ID, state, its seconds
local tasks, accepted, running, attempts, due, state, breaker = unpack(KEYS)
local id, revoked, state_ttl = unpack(ARGV)

if redis.call('HDEL', tasks, id) == 0 then return 'GONE' end
local was_running = redis.call('HDEL', running, id)
redis.call('ZREM', accepted, id)
redis.call('HDEL', attempts, id)
redis.call('HDEL', due, id)
local at = redis.call('HMGET', breaker, 'state', 'probe')
if at[1] == 'half-open' and at[2] == id then
  redis.call('HSET', breaker, 'state', 'open', 'since', 0, 'probe', '')  -- the next request is the probe
end
if was_running == 1 then return 'RUNNING' end
redis.call('SET', state, revoked, 'EX', state_ttl)
return 'WAITING'
