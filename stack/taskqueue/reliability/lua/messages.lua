-- Which tasks have a message: a list of IDs on the queues, and a list of delivery tag and ID for what was delivered and
-- not acknowledged. The first "id" in a message is its header's: a body is base64, which has no quotes.
-- KEYS: unacknowledged messages, queues
local queued, delivered = {}, {}
for number = 2, #KEYS do
  for _, message in ipairs(redis.call('LRANGE', KEYS[number], 0, -1)) do
    local id = string.match(message, '"id": "([^"]+)"')
    if id then queued[#queued + 1] = id end
  end
end
local unacked = redis.call('HGETALL', KEYS[1])
for number = 1, #unacked, 2 do
  local id = string.match(unacked[number + 1], '"id": "([^"]+)"')
  if id then
    delivered[#delivered + 1] = unacked[number]
    delivered[#delivered + 1] = id
  end
end
return {queued, delivered}
