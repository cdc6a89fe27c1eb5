#include <malloc.h>
#include <nghttp2/nghttp2.h>

#include "dissect/bench.h"
#include "dissect/http2/http2.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect::http2 {
namespace {

using Header = std::pair<std::string, std::string>;

std::string frame(int type, int flags, uint32_t stream, const std::string& payload) {
  return be(payload.size(), 3) + be(static_cast<uint64_t>(type), 1) + be(static_cast<uint64_t>(flags), 1) +
         be(stream, 4) + payload;
}

/// Field blocks as a client or server with a table of its own sends them.
class Encoder {
 public:
  Encoder() { nghttp2_hd_deflate_new(&deflater_, 4096); }
  ~Encoder() { nghttp2_hd_deflate_del(deflater_); }
  std::string block(std::vector<Header> headers) {
    std::vector<nghttp2_nv> fields;
    for (Header& h : headers)
      fields.push_back({reinterpret_cast<uint8_t*>(h.first.data()), reinterpret_cast<uint8_t*>(h.second.data()),
                        h.first.size(), h.second.size(), 0});
    std::string out(4096, '\0');
    const auto size = nghttp2_hd_deflate_hd(deflater_, reinterpret_cast<uint8_t*>(out.data()), out.size(),
                                            fields.data(), fields.size());
    if (size < 0) std::abort();
    out.resize(static_cast<size_t>(size));
    return out;
  }

 private:
  nghttp2_hd_deflater* deflater_ = nullptr;
};

/// A unary call with nine headers, two or three trailers and a message each way.
struct Call {
  Encoder client, server;
  std::string request() {
    return frame(kHeaders, kEndHeaders, 1,
                 client.block({{":method", "POST"},
                               {":scheme", "http"},
                               {":path", "/helloworld.Greeter/SayHello"},
                               {":authority", "greeter.default.svc:50051"},
                               {"te", "trailers"},
                               {"content-type", "application/grpc"},
                               {"user-agent", "grpc-c++/1.51.1 grpc-c/29.0.0 (linux; chttp2)"},
                               {"grpc-accept-encoding", "identity, deflate, gzip"},
                               {"grpc-timeout", "10S"}})) +
           frame(kData, kEndStream, 1, unhex("00 00000007 0a 05 'world'"));
  }
  std::string response() {
    const std::string head = server.block({{":status", "200"},
                                           {"content-type", "application/grpc"},
                                           {"grpc-accept-encoding", "identity, deflate, gzip"}});
    const std::string trailers = server.block({{"grpc-status", "0"}, {"grpc-message", ""}});
    return frame(kHeaders, kEndHeaders, 1, head) + frame(kData, 0, 1, unhex("00 0000000d 0a 0b 'Hello world'")) +
           frame(kHeaders, kEndHeaders | kEndStream, 1, trailers);
  }
};

void feed(Http2& session, Output& out, Direction d, const std::string& bytes) {
  for (Bytes rest = as_bytes(bytes); !rest.empty();) {
    const Step step = session.dissect({d, rest, Timestamp{}, false}, out);
    if (step.kind != Step::Kind::kTook || step.bytes == 0) std::abort();
    rest = rest.subspan(step.bytes);
  }
}
void greet(Http2& session, Output& out) {
  const std::string settings = frame(kSettings, 0, 0, unhex("00 03 00000064"));
  feed(session, out, Direction::kToServer, std::string(kPreface) + settings);
  feed(session, out, Direction::kToClient, settings);
}

/// `open` streams are there all the time, beside the one that comes and goes.
void unary(benchmark::State& state) {
  Collected out;
  out.keep = false;
  Http2 session;
  Call call;
  greet(session, out);
  for (uint32_t i = 0; i < static_cast<uint32_t>(state.range(0)); ++i) {
    std::string other = frame(kHeaders, kEndHeaders, 0, call.client.block({{":method", "POST"}, {":path", "/watch"}}));
    other.replace(5, 4, be(2 * i + 3, 4));
    feed(session, out, Direction::kToServer, other);
  }
  feed(session, out, Direction::kToServer, call.request());
  feed(session, out, Direction::kToClient, call.response());
  const std::string request = call.request(), response = call.response();
  SteadyAllocations allocated;
  for (auto _ : state) {
    allocated.round();
    feed(session, out, Direction::kToServer, request);
    feed(session, out, Direction::kToClient, response);
  }
  allocated.report(state, 1);
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * (request.size() + response.size())));
  session.close(false, out);
}
BENCHMARK(unary)->Arg(0)->Arg(100);

/// Every header is new: literals that go into the table and push others out.
void changing_headers(benchmark::State& state) {
  Collected out;
  out.keep = false;
  Http2 session;
  greet(session, out);
  Encoder client, server;
  const std::string answer = frame(kHeaders, kEndHeaders | kEndStream, 1, "\x88");
  std::vector<std::string> requests;
  for (int i = 0; i < 256; ++i)
    requests.push_back(frame(kHeaders, kEndHeaders | kEndStream, 1,
                             client.block({{":method", "GET"},
                                           {":scheme", "http"},
                                           {":path", "/items/" + std::to_string(i)},
                                           {":authority", "shop"},
                                           {"x-request-id", "0123456789abcdef" + std::to_string(i)}})));
  size_t next = 0;
  SteadyAllocations allocated;
  for (auto _ : state) {
    allocated.round();
    feed(session, out, Direction::kToServer, requests[next++ % requests.size()]);
    feed(session, out, Direction::kToClient, answer);
  }
  allocated.report(state, 1);
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
  session.close(false, out);
}
BENCHMARK(changing_headers);

/// What a connection costs that has had a call and waits for the next.
void idle_connection(benchmark::State& state) {
  Collected out;
  out.keep = false;
  constexpr size_t kConnections = 1000;
  const auto before = mallinfo2().uordblks + mallinfo2().hblkhd;
  std::vector<std::unique_ptr<Http2>> sessions;
  for (size_t i = 0; i < kConnections; ++i) {
    Call call;
    sessions.push_back(std::make_unique<Http2>());
    greet(*sessions.back(), out);
    feed(*sessions.back(), out, Direction::kToServer, call.request());
    feed(*sessions.back(), out, Direction::kToClient, call.response());
  }
  const auto after = mallinfo2().uordblks + mallinfo2().hblkhd;
  for (auto _ : state) benchmark::DoNotOptimize(sessions.data());
  state.counters["bytes"] = static_cast<double>(after - before) / kConnections;
}
BENCHMARK(idle_connection)->Iterations(1);

}  // namespace
}  // namespace baleen::dissect::http2
