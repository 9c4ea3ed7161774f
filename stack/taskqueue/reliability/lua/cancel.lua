-- Cancel a task: WAITING (it will never run), RUNNING (a worker must be told; it will not run again), or GONE.
-- A worker that is alive writes the final state of what it runs; for one that is not, it is written here.
-- KEYS: tasks, accepted, running, attempts, due, state, breaker   ARGV: task ID, state, its seconds, prefix of leases
local tasks, accepted, running, attempts, due, state, breaker = unpack(KEYS)
local id, revoked, state_ttl, lease = unpack(ARGV)

if redis.call('HDEL', tasks, id) == 0 then return 'GONE' end
local holder = redis.call('HGET', running, id)
redis.call('HDEL', running, id)
redis.call('ZREM', accepted, id)
redis.call('HDEL', attempts, id)
redis.call('HDEL', due, id)
local at = redis.call('HMGET', breaker, 'state', 'probe')
if at[1] == 'half-open' and at[2] == id then
  redis.call('HSET', breaker, 'state', 'open', 'since', 0, 'probe', '')  -- the next request is the probe
end
local living = holder and redis.call('GET', lease .. string.match(holder, '^(.-)/'))
if not holder or living ~= holder then redis.call('SET', state, revoked, 'EX', state_ttl) end
return holder and 'RUNNING' or 'WAITING'
