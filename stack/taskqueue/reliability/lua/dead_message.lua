-- Keep a malformed message; returns the IDs of the oldest ones that had to go for it.
-- KEYS: dead letters, malformed messages by time   ARGV: ID, dead letter, time, most messages
local letters, messages = unpack(KEYS)
local id, letter, at, most = unpack(ARGV)

redis.call('HSET', letters, id, letter)
redis.call('ZADD', messages, at, id)
local over = redis.call('ZCARD', messages) - tonumber(most)
if over <= 0 then return {} end
local oldest = redis.call('ZRANGE', messages, 0, over - 1)
redis.call('ZREM', messages, unpack(oldest))
redis.call('HDEL', letters, unpack(oldest))
return oldest
