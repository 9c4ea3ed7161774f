-- Put a malformed message back on its queue: 1, or 0 when the dead letter is gone.
-- KEYS: dead letters, malformed messages by time   ARGV: ID, message, queue
-- The queue is not among the keys: a script's user must be allowed to read each of its keys, and the API may only add to a queue.
local letters, messages = unpack(KEYS)
local id, message, queue = unpack(ARGV)

if redis.call('HDEL', letters, id) == 0 then return 0 end
redis.call('ZREM', messages, id)
redis.call('LPUSH', queue, message)
return 1
