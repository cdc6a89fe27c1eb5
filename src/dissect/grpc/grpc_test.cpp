#include "dissect/grpc/grpc.h"

#include <fstream>
#include <sstream>

#include "codec/base64.h"
#include "codec/protobuf.h"
#include "dissect/grpc/message.h"
#include "dissect/http/http.h"
#include "dissect/http2/http2.h"
#include "dissect/http2/test_frames.h"
#include "dissect/test_table.h"
#include "item/json.h"

namespace baleen::dissect::grpc {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string shop_set() {
  std::ifstream file(BALEEN_SOURCE_DIR "/src/dissect/grpc/testdata/shop.pb", std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return std::move(content).str();
}
std::shared_ptr<const codec::Schema> shop() {
  codec::SchemaBuilder builder;
  EXPECT_TRUE(builder.add_set(as_bytes(shop_set())));
  return builder.build(false).value_or(nullptr);
}
/// The files of the set, one by one, as reflection hands them out.
std::vector<std::string> shop_files() {
  std::vector<std::string> files;
  const std::string set = shop_set();
  codec::WireReader reader(as_bytes(set));
  for (codec::WireField f; reader.next(f);) files.emplace_back(as_text(f.bytes));
  return files;
}

/// A message of shop.v1 as JSON.
std::string decoded(const std::string& bytes, std::string_view type = "shop.v1.Item", Budget budget = {}) {
  Descriptors descriptors;
  descriptors.set(shop());
  const Types types(&descriptors, {});
  Arena arena;
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  const item::Value v = decode_message(exact, *types.message(type), types, budget, arena);
  std::string out;
  item::append_json(v, out);
  return out + (budget.cut ? " cut" : "");
}

// What protobuf's own library writes for one of each (testdata/shop.proto).
const char kEverything[] =
    "0a05436166c3a910011a0601ac02f0a2042201612201622a050a017810052a0e0a017910feffffffffffffffff01321308fcffffffffffffff"
    "ff0112060a047061727439000000000000f83f52094a070dcdcccc3d10015a03ff000161ffffffffffffffff6df9ffffff720b0880e2cfaa06"
    "10c096b1027a1608fdffffffffffffffff011080b6ca91feffffffff0182012f0a240a0161121f321d0a0911000000000000f03f0a0208000a"
    "0c2a0a0a080a016212031a01630a070a0174120220018a01270a21747970652e676f6f676c65617069732e636f6d2f73686f702e76312e4f72"
    "646572120208079201110a046e616d650a096e6578742e6e616d659a0100a201020809aa010e010500fdffffffffffffffff014db201040a02"
    "6c31b201024017ba0106080012026e6f";

TEST(GrpcMessage, ShowsEveryKindOfField) {
  EXPECT_EQ(
      decoded(unhex(kEverything)),
      R"({"name":"Café","kind":"BOOK","sizes":[1,300,70000],"tags":["a","b"],"stock":{"x":5,"y":-2},)"
      R"("parts":{"-4":{"name":"part"}},"euros":1.5,"next":{"rebate":{"share":0.1,"final":true}},"picture":"/wAB",)"
      R"("serial":"18446744073709551615","change":-7,"made":"2023-11-14T22:13:20.005Z","lasts":"-3.500s",)"
      R"("extra":{"a":[1.0,null,{"b":"c"}],"t":true},)"
      R"("anything":{"@type":"type.googleapis.com/shop.v1.Order","id":7},"mask":"name,next.name","note":"","weight":9,)"
      R"("kinds":["BOOK","RECORD","KIND_UNSPECIFIED","DEBT",77],"list":[{"name":"l1"},{"cents":-12}],"flags":{"false":"no"}})");
}

TEST(GrpcMessage, FollowsTheRulesOfTheWire) {
  const std::pair<const char*, const char*> rows[] = {
      {"", "{}"},
      {"0a 01 'a' 0a 01 'b'", R"({"name":"b"})"},             // the last one wins
      {"18 01 1a 02 02 03 18 04", R"({"sizes":[1,2,3,4]})"},  // packed and not
      {"39 000000000000f83f 40 05", R"({"cents":-3})"},       // of a oneof the last one stands
      {"40 05 4a 02 10 01", R"({"rebate":{"final":true}})"},
      {"52 03 0a 01 'n' 52 02 10 01", R"({"next":{"name":"n","kind":"BOOK"}})"},  // messages merge
      {"10 05 0a 01 'a'", R"({"name":"a","kind":"RECORD"})"},                     // in any order
      {"08 05", R"({"?":[{"number":1,"type":"varint","value":5}]})"},             // not the type that was declared
      {"c2 3e 02 'hi' 0a 01 'a'", R"({"name":"a","?":[{"number":1000,"type":"string","value":"hi"}]})"},
      {"0a 02 ffff", R"({"name":"//8="})"},             // no UTF-8
      {"53 0a 01 'g' 54", R"({"next":{"name":"g"}})"},  // a group in a message's place
      {"2a 00", R"({"stock":{"":null}})"},
      {"69 00", "null"},
      {"0a 05 'a'", "null"},
      {"53 0a 01 'g'", "null"},
      {"54", "null"},
      {"52 02 0a 05", R"({"next":"CgU="})"},  // what is inside is no message
      {"72 03 08 80 80", R"({"made":"CICA"})"},
      {"82 01 00 8a 01 00 92 01 00", R"({"extra":{},"anything":{"@type":null},"mask":""})"},
  };
  for (const auto& [bytes, json] : rows) EXPECT_EQ(decoded(unhex(bytes)), json) << bytes;
}

TEST(GrpcMessage, SurvivesEveryTruncationAndEveryByte) {
  const std::string whole = unhex(kEverything);
  for (size_t size = 0; size < whole.size(); ++size) {
    decoded(whole.substr(0, size));
    std::string changed = whole;
    changed[size] = static_cast<char>(changed[size] ^ (1 << size % 8));
    decoded(changed);
  }
}

TEST(GrpcMessage, BoundsDepthAndWork) {
  std::string deep;
  for (int i = 0; i < 100; ++i)
    deep = unhex("52") +
           (deep.size() < 128 ? be(deep.size(), 1) : be(0x80 | (deep.size() & 127), 1) + be(deep.size() >> 7, 1)) +
           deep;
  EXPECT_THAT(decoded(deep), HasSubstr(" cut"));
  std::string many;
  for (int i = 0; i < 20000; ++i) many += unhex("22 00");
  EXPECT_THAT(decoded(many), HasSubstr(" cut"));
  EXPECT_THAT(decoded(unhex("1a 05 01 02 03 04 05"), "shop.v1.Item", {4, false}), R"({"sizes":[1,2,3]} cut)");
  std::string groups;  // groups in groups: each is gone through once per level, of which there are few
  for (int i = 0; i < 50000; ++i) groups += unhex("53");
  EXPECT_EQ(decoded(groups), "null");
}

// ---- calls ----

using http2::answer;
using http2::call;
using http2::data;
using http2::hello;
using http2::message;
using http2::settings;
using http2::status;

std::string shop_call(uint32_t stream, const std::string& method, std::vector<http2::Header> more = {}) {
  std::vector<http2::Header> h = {
      {":method", "POST"}, {":path", "/shop.v1.Shop/" + method}, {"content-type", "application/grpc"}};
  h.insert(h.end(), more.begin(), more.end());
  return http2::headers(stream, h);
}

TEST(Grpc, NamesWhatDescriptorsDescribe) {
  Descriptors descriptors;
  descriptors.set(shop());
  Settings limits;
  limits.descriptors = &descriptors;
  const std::vector<Said> script = {
      {Direction::kToServer, hello() + shop_call(1, "Watch", {{"grpc-timeout", "1500m"}}) +
                                 data(1, message(unhex("08 07 12 03 0a 01 'x'")), true)},
      {Direction::kToClient, settings() + answer(1) + data(1, message(unhex("0a 01 'a' 10 01")).substr(0, 7))},
      {Direction::kToClient, data(1, message(unhex("0a 01 'a' 10 01")).substr(7) + message("")) + status(1, "0")}};
  const auto items = play<http2::Http2>(script, SIZE_MAX, limits);
  EXPECT_THAT(
      items,
      ElementsAre(AllOf(
          HasSubstr(
              R"("kind":"server streaming","timeout":"1500m","timeoutMs":1500.0,"messageCount":1,"messages":[{"size":7,"compressed":false,"type":"shop.v1.Order","message":{"id":7,"item":{"name":"x"}}}])"),
          HasSubstr(R"("type":"shop.v1.Item","message":{"name":"a","kind":"BOOK"}},{"size":0)"),
          HasSubstr(R"("type":"shop.v1.Item","message":{}}])"))));
  for (const size_t piece : {1u, 3u, 8u, 50u}) EXPECT_EQ(play<http2::Http2>(script, piece, limits), items);
  // What is no message of that type is shown by the wire format, else as it is.
  const auto broken = play<http2::Http2>(
      {{Direction::kToServer, hello() + shop_call(1, "Get") + data(1, message("\xff\xff"), true)}}, SIZE_MAX, limits);
  EXPECT_THAT(broken, ElementsAre(HasSubstr(R"("type":"shop.v1.Order","bytes":"//8=")")));
}

TEST(Grpc, ReadsStatusDetails) {
  // google.rpc.Status with an ErrorInfo and something that nobody knows, as protobuf's library writes it.
  const std::string info = unhex("0a 04 'GONE' 12 04 'shop' 1a 08 0a 01 'k' 12 03 'val'");
  const std::string any = unhex("0a 28 'type.googleapis.com/google.rpc.ErrorInfo' 12") + sized(1, info);
  const std::string other = unhex("0a 03 'x/y' 12 02 08 01");
  const std::string details = unhex("08 05 12 02 'no' 1a") + sized(1, any) + unhex("1a") + sized(1, other);
  Arena arena;
  const std::string text(codec::to_base64(as_bytes(details), arena));
  // gRPC's own peers send the bytes as they are.
  for (const std::string& sent : {text, text + ",AAAA", std::string(1, '\0') + details}) {
    const auto items =
        play<http2::Http2>({{Direction::kToServer, hello() + call(1) + data(1, message(""), true)},
                            {Direction::kToClient, settings() + http2::headers(1,
                                                                               {{":status", "200"},
                                                                                {"content-type", "application/grpc"},
                                                                                {"grpc-status", "5"},
                                                                                {"grpc-status-details-bin", sent}},
                                                                               true)}});
    EXPECT_THAT(
        items,
        ElementsAre(HasSubstr(
            R"("statusDetails":{"code":5,"message":"no","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"GONE","domain":"shop","metadata":{"k":"val"}},{"@type":"x/y","?":[{"number":1,"type":"varint","value":1}]}]},"trailersOnly":true)")));
  }
}

TEST(Grpc, ReadsDeadlines) {
  const std::pair<const char*, const char*> rows[] = {{"10S", "10000.0"}, {"1H", "3600000.0"},
                                                      {"2M", "120000.0"}, {"5m", "5.0"},
                                                      {"100u", "0.1"},    {"99999999n", "99.999999"}};
  for (const auto& [timeout, ms] : rows)
    EXPECT_THAT(
        play<http2::Http2>({{Direction::kToServer, hello() + shop_call(1, "Get", {{"grpc-timeout", timeout}})}}),
        ElementsAre(HasSubstr(std::string(R"("timeout":")") + timeout + R"(","timeoutMs":)" + ms + ",")));
  for (const char* none : {"S", "1", "123456789S", "1x", "-1S"})
    EXPECT_THAT(play<http2::Http2>({{Direction::kToServer, hello() + shop_call(1, "Get", {{"grpc-timeout", none}})}}),
                ElementsAre(Not(HasSubstr("timeoutMs"))));
}

// ---- server reflection ----

std::string tag(int number, const std::string& bytes) {
  std::string out(1, static_cast<char>(number << 3 | 2));
  for (size_t n = bytes.size();; n >>= 7) {
    out += static_cast<char>(n >= 0x80 ? n | 0x80 : n);
    if (n < 0x80) return out + bytes;
  }
}
std::string reflect(uint32_t stream, const char* version) {
  return http2::headers(
      stream, {{":method", "POST"},
               {":path", std::string("/grpc.reflection.") + version + ".ServerReflection/ServerReflectionInfo"},
               {"content-type", "application/grpc"}});
}

TEST(Grpc, LearnsFromReflectionWhileItGoesOn) {
  for (const char* version : {"v1", "v1alpha"}) {
    std::string told;
    for (const std::string& file : shop_files()) told += tag(1, file);
    const std::string listed = tag(6, tag(1, tag(1, "shop.v1.Shop")));
    const std::vector<Said> script = {
        {Direction::kToServer, hello() + reflect(1, version) + data(1, message(tag(7, "*")))},
        {Direction::kToClient, settings() + answer(1) + data(1, message(listed))},
        {Direction::kToServer, data(1, message(tag(4, "shop.v1.Shop")))},
        {Direction::kToClient,
         data(1, message(tag(4, told)).substr(0, 100)) + data(1, message(tag(4, told)).substr(100))},
        // Programs such as grpcurl call while they still could ask.
        {Direction::kToServer, shop_call(3, "Get") + data(3, message(unhex("08 07")), true)},
        {Direction::kToClient, answer(3) + data(3, message(unhex("0a 01 'a'"))) + status(3, "0")},
        {Direction::kToServer, data(1, "", true)},
        {Direction::kToClient, status(1, "0")}};
    Descriptors descriptors;
    Settings limits;
    limits.descriptors = &descriptors;
    const auto items = play<http2::Http2>(script, SIZE_MAX, limits);
    ASSERT_EQ(items.size(), 2u);
    EXPECT_THAT(items[0], AllOf(HasSubstr(R"("message":{"id":7})"), HasSubstr(R"("message":{"name":"a"})")));
    EXPECT_THAT(
        items[1],
        AllOf(
            HasSubstr(R"("kind":"bidirectional streaming")"), HasSubstr(R"({"list_services":"*"})"),
            HasSubstr(R"({"file_containing_symbol":"shop.v1.Shop"})"),
            HasSubstr(R"({"list_services_response":{"service":[{"name":"shop.v1.Shop"}]}})"),
            HasSubstr(R"("name":"shop.proto","package":"shop.v1")"),
            HasSubstr(
                R"("service":[{"name":"Shop","method":[{"name":"Get","input_type":".shop.v1.Order","output_type":".shop.v1.Item"})"),
            Not(HasSubstr("\"?\""))));
    EXPECT_EQ(descriptors.counters().servers, 1u);
    EXPECT_EQ(descriptors.counters().files, 7u);
    for (const size_t piece : {1u, 7u, 64u}) {
      Descriptors others;
      limits.descriptors = &others;
      EXPECT_EQ(play<http2::Http2>(script, piece, limits), items);
    }
    // The same server, another connection; and what the user gave comes first.
    limits.descriptors = &descriptors;
    const std::vector<Said> later = {
        {Direction::kToServer, hello() + shop_call(1, "Get") + data(1, message(unhex("08 07")), true)}};
    EXPECT_THAT(play<http2::Http2>(later, SIZE_MAX, limits), ElementsAre(HasSubstr(R"("message":{"id":7})")));
  }
}

TEST(Grpc, BoundsWhatServersTell) {
  Descriptors descriptors;
  const auto endpoint = [](size_t i) {
    return net::Endpoint{*net::IpAddress::parse("10.0.0.1"), static_cast<uint16_t>(i)};
  };
  std::vector<std::string> files;
  for (size_t i = 0; i < 2 * Descriptors::kMostFiles; ++i) files.push_back(tag(1, "f" + std::to_string(i)));
  std::vector<Bytes> views;
  for (const std::string& file : files) views.push_back(as_bytes(file));
  descriptors.learn(endpoint(0), views);
  EXPECT_EQ(descriptors.counters().files, Descriptors::kMostFiles);
  EXPECT_EQ(descriptors.counters().refused, Descriptors::kMostFiles);
  for (size_t i = 1; i < 2 * Descriptors::kMostServers; ++i) descriptors.learn(endpoint(i), {as_bytes("junk")});
  EXPECT_EQ(descriptors.counters().servers, Descriptors::kMostServers);
  EXPECT_EQ(descriptors.counters().forgotten, Descriptors::kMostServers);
  // The same told again and again costs nothing; one after the other costs until the work is used up.
  Descriptors slow;
  const std::string big = tag(1, "big") + tag(2, "p") + tag(8, std::string(1 << 20, 'x'));
  slow.learn(endpoint(1), {as_bytes(big)});
  for (const std::string& file : files) slow.learn(endpoint(1), {as_bytes(file)});
  EXPECT_LT(slow.counters().files, 40u);
  EXPECT_GT(slow.counters().refused, 1000u);
}

// ---- gRPC-Web ----

std::vector<Said> web(const std::string& type, const std::string& request, const std::string& response) {
  const auto head = [&](const std::string& line, const std::string& body) {
    return line + "Content-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  };
  return {{Direction::kToServer, head("POST /shop.v1.Shop/Get HTTP/1.1\r\nHost: h\r\nX-Grpc-Web: 1\r\n", request)},
          {Direction::kToClient, head("HTTP/1.1 200 OK\r\n", response)}};
}
std::string base64(const std::string& bytes) {
  Arena arena;
  return std::string(codec::to_base64(as_bytes(bytes), arena));
}

TEST(Grpc, ReadsWebOverHttp1) {
  const std::string trailers = "grpc-status: 5\r\ngrpc-message:no%20such\r\n";
  const std::string request = message(unhex("08 07")), first = message(unhex("0a 01 'a'")),
                    last = "\x80" + sized(4, trailers);
  Descriptors descriptors;
  descriptors.set(shop());
  Settings limits;
  limits.descriptors = &descriptors;
  const auto expected = AllOf(
      HasSubstr(
          R"("grpc":{"service":"shop.v1.Shop","method":"Get","kind":"unary","messageCount":1,"messages":[{"size":2,"compressed":false,"type":"shop.v1.Order","message":{"id":7}}]})"),
      HasSubstr(
          R"("grpc":{"status":5,"statusName":"NOT_FOUND","statusMessage":"no such","messageCount":1,"messages":[{"size":3,"compressed":false,"type":"shop.v1.Item","message":{"name":"a"}}]})"),
      HasSubstr(R"("Grpc-Status":"5")"));
  EXPECT_THAT(play<http::Http>(web("application/grpc-web+proto", request, first + last), SIZE_MAX, limits),
              ElementsAre(expected));
  // As text each message may be padded by itself.
  for (const std::string& body : {base64(first + last), base64(first) + base64(last)})
    EXPECT_THAT(play<http::Http>(web("application/grpc-web-text", base64(request), body), SIZE_MAX, limits),
                ElementsAre(expected));
  const auto cut =
      play<http::Http>(web("application/grpc-web-text", base64(request).substr(0, 9), "!"), SIZE_MAX, limits);
  EXPECT_THAT(cut, ElementsAre(AllOf(HasSubstr(R"("messageCount":0,"messages":[],"incomplete":true)"))));
}

TEST(Grpc, ReadsWebOverHttp2AndItsCard) {
  Collected out;
  const std::string trailers = "grpc-status:0\r\n";
  const std::vector<Said> script = {
      {Direction::kToServer,
       hello() +
           http2::headers(1, {{":method", "POST"}, {":path", "/p.S/M"}, {"content-type", "application/grpc-web"}}) +
           data(1, message(""), true)},
      {Direction::kToClient, settings() +
                                 http2::headers(1, {{":status", "200"}, {"content-type", "application/grpc-web"}}) +
                                 data(1, message("") + "\x80" + sized(4, trailers), true)}};
  EXPECT_THAT(play<http2::Http2>(script),
              ElementsAre(AllOf(HasSubstr(R"("service":"p.S")"), HasSubstr(R"("status":0,"statusName":"OK")"))));
  EXPECT_TRUE(is_web("application/grpc-web-text+proto"));
  EXPECT_FALSE(is_web("application/grpc-website"));
  EXPECT_FALSE(is_web("application/grpc"));
  EXPECT_FALSE(is_grpc("application/grpc-web"));
}

}  // namespace
}  // namespace baleen::dissect::grpc
