-- Sends requests as the command line names them, and reports in one line of JSON. Times are in microseconds.
--   METHOD KEY                  always the same request
--   METHOD KEY BODY [new]       bodies of 16 lengths in turns, longer than BODY where its FILLING stands;
--                               "new": each with a field that has a value of its own, so that no head comes twice
local LENGTHS, STEP, FILLING = 16, 97, "world"

local heads, rests, count, is_new = {}, {}, 0, false

function init(args)
  wrk.method, wrk.headers["Authorization"] = args[1], "Bearer " .. args[2]
  if not args[3] then return end
  wrk.headers["Content-Type"], is_new = "application/json", args[4] == "new"
  for number = 1, LENGTHS do
    local body = args[3]:gsub(FILLING, string.rep("w", STEP * (number * 7 % LENGTHS)), 1)
    local whole = wrk.format(nil, nil, nil, body)
    local line_end = whole:find("\r\n", 1, true)
    heads[number], rests[number] = whole:sub(1, line_end + 1) .. "X-Request: ", "\r\n" .. whole:sub(line_end + 2)
    if not is_new then heads[number] = whole end
  end
  request = next_request
end

function next_request()
  count = count + 1
  local number = count % LENGTHS + 1
  if is_new then return heads[number] .. count .. rests[number] end
  return heads[number]
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('\nREPORT {"requests":%d,"duration":%d,"p50":%d,"p99":%d,"failed":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed))
end
