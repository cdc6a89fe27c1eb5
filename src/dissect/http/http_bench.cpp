#include "dissect/bench.h"
#include "dissect/http/http.h"

namespace baleen::dissect::http {
namespace {

// What a browser and a server say, taken down from nginx and Chrome.
const std::string kGet =
    "GET /api/v1/items/42?fields=name,price&page=2 HTTP/1.1\r\nHost: shop.example.com\r\nConnection: keep-alive\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36\r\n"
    "Accept: application/json, text/plain, */*\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB\r\n"
    "Cookie: session=0123456789abcdef; theme=dark\r\nX-Request-Id: 7f3b2a10-0001\r\n\r\n";
const std::string kSmallGet = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n";

std::string answer(size_t size) {
  std::string body = "{\"items\":[";
  while (body.size() + 2 < size) body += "{\"id\":17,\"name\":\"x\"},";
  body.resize(size, ' ');
  return "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 20 Nov 2023 10:00:00 GMT\r\n"
         "Content-Type: application/json; charset=utf-8\r\nContent-Length: " +
         std::to_string(size) + "\r\nConnection: keep-alive\r\nCache-Control: no-store\r\n\r\n" + body;
}

void get(benchmark::State& state) {
  bench_exchanges<Http>(state, {c(kGet), s(answer(static_cast<size_t>(state.range(0))))}, 1);
}
BENCHMARK(get)->Arg(100)->Arg(1500)->Arg(16384)->Arg(262144);

void small(benchmark::State& state) {
  bench_exchanges<Http>(state, {c(kSmallGet), s("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")}, 1);
}
BENCHMARK(small);

void post(benchmark::State& state) {
  const std::string body = "{\"name\":\"a thing\",\"price\":12.5,\"tags\":[\"x\",\"y\"]}";
  bench_exchanges<Http>(
      state,
      {c("POST /api/v1/items HTTP/1.1\r\nHost: shop.example.com\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body),
       s("HTTP/1.1 201 Created\r\nLocation: /api/v1/items/43\r\nContent-Length: 0\r\n\r\n")},
      1);
}
BENCHMARK(post);

void graphql(benchmark::State& state) {
  const std::string body =
      R"({"operationName":"GetUser","query":"query GetUser($id: ID!) { user(id: $id) { id name } }","variables":{"id":"2"}})";
  bench_exchanges<Http>(
      state,
      {c("POST /graphql HTTP/1.1\r\nHost: shop.example.com\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body),
       s(answer(200))},
      1);
}
BENCHMARK(graphql);

void chunked(benchmark::State& state) {
  std::string chunks;
  for (int i = 0; i < 16; ++i) chunks += "100\r\n" + std::string(256, 'x') + "\r\n";
  bench_exchanges<Http>(
      state, {c(kGet), s("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + "0\r\n\r\n")}, 1);
}
BENCHMARK(chunked);

}  // namespace
}  // namespace baleen::dissect::http
