-- Put a dead task back into the ledger, as if it had just been accepted: ACCEPTED; or UNKNOWN (the dead letter is gone),
-- BUSY (its worker has not yet taken it out of the ledger), FULL (as many wait as may).
-- KEYS: dead letters, tasks, accepted, running, attempts, due, state
-- ARGV: task ID, entry, state, seconds the state is kept, limit
local letters, tasks, accepted, running, attempts, due, state = unpack(KEYS)
local id, entry, pending, state_ttl, limit = unpack(ARGV)

if redis.call('HEXISTS', letters, id) == 0 then return 'UNKNOWN' end
if redis.call('HEXISTS', tasks, id) == 1 then return 'BUSY' end
if redis.call('HLEN', tasks) - redis.call('HLEN', running) >= tonumber(limit) then return 'FULL' end
local time = redis.call('TIME')
redis.call('HDEL', letters, id)
redis.call('HDEL', attempts, id)
redis.call('HDEL', due, id)
redis.call('HSET', tasks, id, entry)
redis.call('ZADD', accepted, time[1] * 1000 + math.floor(time[2] / 1000), id)
redis.call('SET', state, pending, 'EX', state_ttl)
return 'ACCEPTED'
