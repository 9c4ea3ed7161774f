-- Let go of a claim, if this owner has it: 1, else 0. With a time, the task waits for a retry until then.
-- KEYS: running, attempts, due   ARGV: task ID, owner, due in ms after now ("" for none), retries so far
local running, attempts, due = unpack(KEYS)
local id, owner, wait, retries = unpack(ARGV)

if redis.call('HGET', running, id) ~= owner then return 0 end
redis.call('HDEL', running, id)
if wait ~= '' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('HSET', due, id, string.format('%d/%d', now + tonumber(wait), tonumber(retries)))
  redis.call('HDEL', attempts, id)  -- this run ended in order
end
return 1
