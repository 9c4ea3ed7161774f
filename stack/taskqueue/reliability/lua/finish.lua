-- Take a task that has its final state out of the ledger. Returns the breaker's old and new state.
-- KEYS: tasks, accepted, running, attempts, due, breaker   ARGV: task ID, final state
local tasks, accepted, running, attempts, due, breaker = unpack(KEYS)
local id, status = unpack(ARGV)

redis.call('HDEL', tasks, id)
redis.call('ZREM', accepted, id)
redis.call('HDEL', running, id)
redis.call('HDEL', attempts, id)
redis.call('HDEL', due, id)
local at = redis.call('HMGET', breaker, 'state', 'probe')
if at[1] ~= 'half-open' or at[2] ~= id then return {'', ''} end
local time = redis.call('TIME')
local after = status == 'SUCCESS' and 'closed' or 'open'
redis.call('HSET', breaker, 'state', after, 'since', time[1] * 1000 + math.floor(time[2] / 1000), 'probe', '')
return {'half-open', after}
