-- Claim a task for a worker: RUN; or GONE (finished, cancelled, never accepted), DONE (it has its final state, and is
-- about to leave the ledger), EARLY (its retry is not due yet), BUSY (a worker runs it that may be alive), POISON (it has
-- ended too many runs). Returns verdict, number of this run.
-- A lease that is absent proves nothing: after an outage of Redis nobody has one. The reconciler looks more than once.
-- KEYS: tasks, running, attempts, due, state   ARGV: task ID, owner, prefix of leases, most runs, state, its seconds
local tasks, running, attempts, due, state = unpack(KEYS)
local id, owner, lease, most, started, state_ttl = unpack(ARGV)

if redis.call('HEXISTS', tasks, id) == 0 then return {'GONE', 0} end
local status = string.match(redis.call('GET', state) or '', '"status": "(%u+)"')
if status == 'SUCCESS' or status == 'FAILURE' or status == 'REVOKED' then return {'DONE', 0} end
local holder = redis.call('HGET', running, id)
if holder then
  local name = string.match(holder, '^(.-)/')
  local living = redis.call('GET', lease .. name)
  if not living or living == holder then return {'BUSY', 0} end
end
local at = string.match(redis.call('HGET', due, id) or '', '^(%d+)/')
local time = redis.call('TIME')
if at and time[1] * 1000 + math.floor(time[2] / 1000) < tonumber(at) - 1000 then return {'EARLY', 0} end

local run = redis.call('HINCRBY', attempts, id, 1)
if run > tonumber(most) then return {'POISON', run} end
redis.call('HSET', running, id, owner)
redis.call('HDEL', due, id)
redis.call('SET', state, started, 'EX', state_ttl)
return {'RUN', run}
