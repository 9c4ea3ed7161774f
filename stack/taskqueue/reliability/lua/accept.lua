-- Accept a task, or say why not: REPLAY, MISMATCH, LATE, NO_MEMORY, FULL.
-- Returns verdict, value, the breaker's old and new state.
-- Whoever accepts or replays is the key's teller: the last one to tell the client that its task is accepted.
-- KEYS: tasks, accepted, running, breaker, state, idempotency key (without one: the tasks again)
-- ARGV: task ID, entry, state, seconds the state is kept, deadline in ms (0: none), limit, seconds until a probe,
--       fingerprint ("" without an idempotency key), seconds the key is kept,
--       share of Redis's maxmemory for new tasks (0: not limited)
local tasks, accepted, running, breaker, state, key = unpack(KEYS)
local id, entry, pending, state_ttl, deadline, limit, probe_after, fingerprint, key_ttl, share = unpack(ARGV)
limit = tonumber(limit)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if fingerprint ~= '' then
  local seen = redis.call('HMGET', key, 'fingerprint', 'task_id')
  if seen[1] == fingerprint then
    redis.call('HSET', key, 'teller', id)
    return {'REPLAY', seen[2], '', ''}
  end
  if seen[1] then return {'MISMATCH', seen[2], '', ''} end
end

if tonumber(deadline) > 0 and now > tonumber(deadline) then return {'LATE', '', '', ''} end

-- When Redis is full, it refuses a claim and a result too, so what was accepted would never end.
if tonumber(share) > 0 then
  local memory = redis.call('INFO', 'memory')
  local used = tonumber(string.match(memory, 'used_memory:(%d+)'))
  local most = tonumber(string.match(memory, 'maxmemory:(%d+)'))
  if most > 0 and used > most * share then return {'NO_MEMORY', '', '', ''} end
end

local waiting = redis.call('HLEN', tasks) - redis.call('HLEN', running)
local at = redis.call('HMGET', breaker, 'state', 'since')
local before, since = at[1] or 'closed', tonumber(at[2] or 0)
if since > now then since = 0 end  -- the clock was set back
local after = before
if before == 'closed' then
  if waiting >= limit then after = 'open' end
elseif waiting < limit and (now - since >= probe_after * 1000 or (before == 'open' and waiting <= limit / 2)) then
  after = 'half-open'
end
if after ~= before or (after == 'half-open' and waiting < limit and now - since >= probe_after * 1000) then
  redis.call('HSET', breaker, 'state', after, 'since', now)
  if after == 'half-open' then redis.call('HSET', breaker, 'probe', id) end
end
local is_probe = after == 'half-open' and redis.call('HGET', breaker, 'probe') == id
if after ~= 'closed' and not is_probe then return {'FULL', tostring(waiting), before, after} end

if fingerprint ~= '' then
  redis.call('HSET', key, 'fingerprint', fingerprint, 'task_id', id, 'teller', id)
  redis.call('EXPIRE', key, key_ttl)
end
redis.call('HSET', tasks, id, entry)
redis.call('ZADD', accepted, now, id)
redis.call('SET', state, pending, 'EX', state_ttl)
return {'ACCEPTED', id, before, after}
