-- wrk: send the requests of a file in turn, and compare every answer with the expected numbers.
-- The file: one request per line, a tab, and the probabilities, separated by commas.
local requests, expected, turn, asked = {}, {}, 0, 0
local threads = {}

function setup(thread) table.insert(threads, thread) end

function init(args)
  right, wrong, refused = 0, 0, 0
  for line in io.lines(args[1]) do
    local body, numbers = line:match("([^\t]*)\t(.*)")
    local values = {}
    for number in numbers:gmatch("[^,]+") do table.insert(values, tonumber(number)) end
    table.insert(requests, body)
    table.insert(expected, values)
  end
  headers = { ["Content-Type"] = "application/json" }
end

-- One connection per thread, so that answers come in the order of the requests.
function request()
  turn = turn % #requests + 1
  asked = turn
  return wrk.format("POST", "/api/predict", headers, requests[turn])
end

function response(status, _, body)
  if status ~= 200 then refused = refused + 1 return end
  local place, values = 0, body:match('"probability":%[([^%]]*)%]') or ""
  for number in values:gmatch("[^,]+") do
    place = place + 1
    local value = expected[asked][place]
    if not value or math.abs(value - tonumber(number)) > 1e-5 then wrong = wrong + 1 return end
  end
  if place == #expected[asked] then right = right + 1 else wrong = wrong + 1 end
end

function done(summary, latency)
  local sums = { right = 0, wrong = 0, refused = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(sums) do sums[name] = sums[name] + thread:get(name) end
  end
  local lost = summary.errors.connect + summary.errors.read + summary.errors.write
    + summary.errors.timeout
  io.write(string.format('\n{"right": %d, "wrong": %d, "refused": %d, "lost": %d, "p50_ms": %.1f, '
    .. '"p99_ms": %.1f}\n', sums.right, sums.wrong, sums.refused, lost,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
