-- Moves a partition's memory on by one batch, all or nothing, if nobody else has moved it since it was read.
-- KEYS: mark, pending, conversation …      ARGV: mark as read ('' for none), new mark, pending ('' for none), TTL in s, conversation …
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
for i = 3, #KEYS do
  redis.call('SET', KEYS[i], ARGV[i + 2], 'EX', ARGV[4])
end
if ARGV[3] == '' then
  redis.call('DEL', KEYS[2])
else
  redis.call('SET', KEYS[2], ARGV[3])
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
