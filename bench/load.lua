-- Makes requests for wrk and counts the responses by status. Environment variables configure it:
--   BENCH_WORKLOAD   spread | hot | overlap | hot_customer | product | list | balance
--   BENCH_TOKEN      a token of the bench business
--   BENCH_CUSTOMERS, BENCH_PRODUCTS   the number of customers and of products
--   BENCH_SEED       a number that no other wrk process has, so that two do not send the same requests
-- Prints one line of JSON at the end.

local workload = os.getenv("BENCH_WORKLOAD")
local customers = tonumber(os.getenv("BENCH_CUSTOMERS"))
local products = tonumber(os.getenv("BENCH_PRODUCTS"))

local threads = {}

function setup(thread)
   thread:set("number", #threads + 1)
   table.insert(threads, thread)
end

function init()
   math.randomseed(tonumber(os.getenv("BENCH_SEED")) + number)
   statuses = {}
   wrk.headers["Authorization"] = "Bearer " .. os.getenv("BENCH_TOKEN")
   wrk.headers["Content-Type"] = "application/json"
end

local function customer_id(n)
   return string.format("00000000-0000-7000-8001-%012x", n)
end

local function product_id(n)
   return string.format("00000000-0000-7000-8002-%012x", n)
end

local function any_customer()
   return customer_id(math.random(customers))
end

-- Two different numbers from 1 to `most`, in random order.
local function two(most)
   local first = math.random(most)
   local second = math.random(most - 1)
   if second >= first then
      second = second + 1
   end
   return first, second
end

local function purchase(customer, ...)
   local items = {}
   for _, product in ipairs({ ... }) do
      items[#items + 1] = string.format('{"product_id":"%s","quantity":1}', product_id(product))
   end
   local body = string.format('{"customer_id":"%s","items":[%s]}', customer, table.concat(items, ","))
   return wrk.format("POST", "/api/purchase", nil, body)
end

local make = {
   spread = function() return purchase(any_customer(), two(products)) end,
   hot = function() return purchase(any_customer(), 1) end,
   overlap = function() return purchase(any_customer(), two(5)) end,
   hot_customer = function() return purchase(customer_id(1), two(products)) end,
   product = function() return wrk.format("GET", "/api/products/" .. product_id(math.random(products))) end,
   list = function() return wrk.format("GET", "/api/products?limit=50") end,
   balance = function() return wrk.format("GET", "/api/customers/" .. any_customer()) end,
}
request = make[workload]

function response(status)
   statuses[status] = (statuses[status] or 0) + 1
end

function done(summary, latency)
   local counts = {}
   for _, thread in ipairs(threads) do
      for status, count in pairs(thread:get("statuses")) do
         counts[status] = (counts[status] or 0) + count
      end
   end
   local parts = {}
   for status, count in pairs(counts) do
      parts[#parts + 1] = string.format('"%d":%d', status, count)
   end
   local errors = summary.errors
   print(string.format(
      '{"seconds":%.3f,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,"socket_errors":%d,"statuses":{%s}}',
      summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
      errors.connect + errors.read + errors.write + errors.timeout, table.concat(parts, ",")))
end
