-- Sends the request that the command line names, and reports in one line of JSON. Times are in microseconds.
function init(args)
  wrk.method, wrk.headers["Authorization"] = args[1], "Bearer " .. args[2]
  if args[3] then
    wrk.headers["Content-Type"], wrk.body = "application/json", args[3]
  end
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('\nREPORT {"requests":%d,"duration":%d,"p50":%d,"p99":%d,"failed":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), failed))
end
