-- Put a malformed message back on its queue: 1, or 0 when the dead letter is gone.
-- KEYS: dead letters, malformed messages by time, queue   ARGV: ID, message
local letters, messages, queue = unpack(KEYS)
local id, message = unpack(ARGV)

if redis.call('HDEL', letters, id) == 0 then return 0 end
redis.call('ZREM', messages, id)
redis.call('LPUSH', queue, message)
return 1
