#include "capture/af_packet/af_packet.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "base/unique_fd.h"
#include "capture/af_packet/capture_filter.h"

namespace baleen::capture {
namespace {

using namespace std::chrono_literals;

TEST(CaptureFilter, SaysWhatIsWrongInLibpcapsWordsWithAHint) {
  struct Row {
    const char* text;
    const char* message;
    const char* hint;
  };
  const Row rows[] = {
      {"tcp prot 80", "syntax error", "pcap-filter(7)"},
      {"http and request.method == \"GET\"", "syntax error", "KFL"},
      {"ip.addr 10.0.0.1", "syntax error", "host 10.0.0.1"},
      {"host 300.0.0.1", "300", "pcap-filter(7)"},
  };
  for (const Row& row : rows) {
    const auto result = check_capture_filter(row.text);
    ASSERT_FALSE(result) << row.text;
    EXPECT_EQ(result.error().code, Code::kInvalid);
    EXPECT_NE(result.error().message.find(fmt::format("capture filter '{}': ", row.text)), std::string::npos);
    EXPECT_NE(result.error().message.find(row.message), std::string::npos) << result.error().message;
    EXPECT_NE(result.error().message.find(row.hint), std::string::npos) << result.error().message;
  }
  for (const char* good : {"", "tcp port 80", "vlan 7 and udp", "not host 10.0.0.1 and tcp[tcpflags] & tcp-syn != 0",
                           "ip6 or arp", "inbound and portrange 1-1024"})
    EXPECT_TRUE(check_capture_filter(good)) << good << ": " << check_capture_filter(good).error().message;
}

TEST(CaptureFilter, IsTooLongForTheKernelAtSomePoint) {
  FilterPlan plan{.text = "ip host 10.0.0.1"};
  for (int i = 0; i < 700; ++i) plan.text += fmt::format(" or ip host 10.{}.{}.7", i / 200 + 1, i % 200);
  plan.link = net::LinkType::kEthernet;
  EXPECT_TRUE(build_filter(plan));
  plan.link.reset();  // twice as long: for Ethernet and for raw IP
  const auto program = build_filter(plan);
  ASSERT_FALSE(program);
  EXPECT_NE(program.error().message.find("too long for the kernel"), std::string::npos);
  std::string text = "host 10.0.0.1";
  for (int i = 0; i < 450; ++i) text += fmt::format(" or host 10.{}.{}.7", i / 200 + 1, i % 200);
  const auto slow = check_capture_filter(text);  // short enough to be tried, too long to be optimized
  ASSERT_FALSE(slow);
  EXPECT_NE(slow.error().message.find("too long for the kernel"), std::string::npos);
  for (int i = 0; i < 5000; ++i) text += " or host 10.9.8.7";  // would take libpcap many minutes
  const auto endless = check_capture_filter(text);
  ASSERT_FALSE(endless);
  EXPECT_NE(endless.error().message.find("bytes are too long"), std::string::npos);
}

bool run(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }

/// A network namespace of the test's own with the veth pair bl0 - bl1. Root's tests only.
class AfPacket : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "live capture is only tested as root";
    home_.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no network namespace of our own: " << std::strerror(errno);
    entered_ = true;
    for (const char* scope : {"all", "default"})  // no neighbour discovery between the packets of a test
      std::ofstream(fmt::format("/proc/sys/net/ipv6/conf/{}/disable_ipv6", scope)) << "1";
    if (!run("ip link set lo up") || !make_pair("bl0", "bl1")) GTEST_SKIP() << "no veth pairs can be made here";
  }
  void TearDown() override {
    if (entered_) {
      ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
    }
  }

  static bool make_pair(const std::string& a, const std::string& b) {
    return run(
        fmt::format("ip link add {0} type veth peer name {1} && ip link set {0} up && ip link set {1} up", a, b));
  }

  UniqueFd home_;
  bool entered_ = false;
};

/// Sends frames as they are.
class Sender {
 public:
  explicit Sender(const std::string& name) : fd_(::socket(AF_PACKET, SOCK_RAW, 0)) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(::if_nametoindex(name.c_str()));
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  void send(const std::string& frame) {
    ASSERT_EQ(::send(fd_.get(), frame.data(), frame.size(), 0), static_cast<ssize_t>(frame.size()))
        << std::strerror(errno);
  }

 private:
  UniqueFd fd_;
};

std::string be16(uint16_t v) { return {static_cast<char>(v >> 8), static_cast<char>(v)}; }
std::string ip_udp(uint32_t source, uint16_t source_port, uint16_t port, const std::string& payload) {
  const auto length = static_cast<uint16_t>(28 + payload.size());
  const auto address = [](uint32_t a) { return be16(static_cast<uint16_t>(a >> 16)) + be16(static_cast<uint16_t>(a)); };
  return std::string("\x45\0", 2) + be16(length) + std::string("\0\0\0\0\x40\x11\0\0", 8) + address(source) +
         address(0x0a000002) + be16(source_port) + be16(port) + be16(static_cast<uint16_t>(8 + payload.size())) +
         std::string(2, '\0') + payload;
}
const std::string kAddresses("\x02\0\0\0\0\2\x02\0\0\0\0\1", 12);
std::string udp(uint16_t source_port, uint16_t port, const std::string& payload, const std::string& tags = "") {
  return kAddresses + tags + std::string("\x08\0", 2) + ip_udp(0x0a000001, source_port, port, payload);
}

struct Kept {
  std::string bytes;
  uint32_t wire_length;
  std::string interface;
  net::LinkType link;
  Timestamp time;
};
/// Takes packets until `count` have come or nothing comes for a while; what is more shows as well.
std::vector<Kept> take(PacketSource& source, size_t count) {
  std::vector<Kept> kept;
  for (;;) {
    auto batch = source.next_batch(kept.size() < count ? 3s : 60ms);
    if (!batch) {
      ADD_FAILURE() << batch.error().message;
      break;
    }
    if (batch->state() != PacketBatch::State::kPackets) break;
    for (const net::Packet& p : *batch)
      kept.push_back(
          {std::string(as_text(p.bytes)), p.wire_length, source.interfaces().at(p.interface).name, p.link, p.time});
  }
  return kept;
}

std::unique_ptr<PacketSource> open_one(AfPacketOptions options) {
  options.ring_bytes = std::min<size_t>(options.ring_bytes, 8 << 20);
  auto sources = open_af_packet(options);
  if (!sources) {
    ADD_FAILURE() << sources.error().message;
    return nullptr;
  }
  return std::move(sources->front());
}

TEST_F(AfPacket, PacketsArriveExactlyAsSent) {
  auto source = open_one({.interfaces = {"bl0"}});
  ASSERT_TRUE(source);
  ASSERT_EQ(source->interfaces().size(), 1u);
  EXPECT_EQ(source->interfaces()[0], (Interface{"bl0", "", net::LinkType::kEthernet}));
  const Timestamp before = now();
  Sender sender("bl1");
  std::vector<std::string> sent;
  for (size_t i = 0; i < 3000; ++i) {
    sent.push_back(udp(1000, static_cast<uint16_t>(i), std::string(i % 1473, static_cast<char>('a' + i % 26))));
    sender.send(sent.back());
  }
  const auto kept = take(*source, sent.size());
  ASSERT_EQ(kept.size(), sent.size());
  uint64_t bytes = 0;
  for (size_t i = 0; i < sent.size(); ++i) {
    ASSERT_EQ(kept[i].bytes, sent[i]) << i;
    ASSERT_EQ(kept[i].wire_length, sent[i].size());
    ASSERT_EQ(kept[i].interface, "bl0");
    ASSERT_GE(kept[i].time, i == 0 ? before - 10ms : kept[i - 1].time);
    bytes += sent[i].size();
  }
  EXPECT_LT(kept.back().time, now() + 10ms);
  EXPECT_TRUE(std::any_of(kept.begin(), kept.end(), [](const Kept& k) { return to_ns(k.time) % 1000 != 0; }))
      << "times are not in nanoseconds";
  const Statistics expected{.packets = 3000, .bytes = bytes};
  EXPECT_EQ(source->statistics(), expected);
}

TEST_F(AfPacket, TheKernelFilters) {
  auto source = open_one({.interfaces = {"bl0"}, .filter = "udp dst port 53 or udp dst port 54"});
  ASSERT_TRUE(source);
  Sender sender("bl1");
  for (const uint16_t port : {50, 51, 52, 53, 54, 55, 56}) sender.send(udp(9, port, fmt::format("to {}", port)));
  const auto kept = take(*source, 2);
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].bytes, udp(9, 53, "to 53"));
  EXPECT_EQ(kept[1].bytes, udp(9, 54, "to 54"));
}

TEST_F(AfPacket, SnapLengthKeepsTheWireLength) {
  for (const char* filter : {"", "udp"}) {
    auto source = open_one({.interfaces = {"bl0"}, .filter = filter, .snap_length = 50});
    ASSERT_TRUE(source);
    const std::string frame = udp(9, 53, std::string(500, 'x'));
    Sender("bl1").send(frame);
    const auto kept = take(*source, 1);
    ASSERT_EQ(kept.size(), 1u);
    EXPECT_EQ(kept[0].bytes, frame.substr(0, 50));
    EXPECT_EQ(kept[0].wire_length, frame.size());
  }
}

TEST_F(AfPacket, VlanTagsAreThereAgain) {
  const std::string q("\x81\x00\x60\x07", 4), ad("\x88\xa8\x00\x63", 4);
  const std::string frames[] = {udp(1, 2, "plain"), udp(1, 2, "tagged", q), udp(1, 2, "provider", ad),
                                udp(1, 2, "two tags", ad + q), udp(1, 3, "tagged", q)};
  {
    auto source = open_one({.interfaces = {"bl0"}});
    ASSERT_TRUE(source);
    Sender sender("bl1");
    for (const std::string& frame : frames) sender.send(frame);
    const auto kept = take(*source, std::size(frames));
    ASSERT_EQ(kept.size(), std::size(frames));
    for (size_t i = 0; i < kept.size(); ++i) {
      EXPECT_EQ(kept[i].bytes, frames[i]) << i;
      EXPECT_EQ(kept[i].wire_length, frames[i].size());
    }
  }
  auto source = open_one({.interfaces = {"bl0"}, .filter = "vlan 7 and udp dst port 3"});
  ASSERT_TRUE(source);
  Sender sender("bl1");
  for (const std::string& frame : frames) sender.send(frame);
  const auto kept = take(*source, 1);
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].bytes, frames[4]);
}

TEST_F(AfPacket, ShardsSeeEveryPacketOnceAndFlowsWhole) {
  constexpr size_t kFlows = 64, kEach = 100;
  auto sources = open_af_packet({.interfaces = {"bl0"}, .filter = "udp", .ring_bytes = 8 << 20}, 2);
  ASSERT_TRUE(sources) << sources.error().message;
  ASSERT_EQ(sources->size(), 2u);
  std::vector<std::vector<Kept>> kept(2);
  std::vector<std::thread> threads;
  for (size_t shard = 0; shard < 2; ++shard)
    threads.emplace_back([&, shard] {
      PacketSource& source = *(*sources)[shard];
      for (;;) {
        auto batch = source.next_batch(10s);
        ASSERT_TRUE(batch);
        if (batch->state() != PacketBatch::State::kPackets) return;
        for (const net::Packet& p : *batch)
          kept[shard].push_back({std::string(as_text(p.bytes)), 0, "", p.link, p.time});
      }
    });
  Sender sender("bl1");
  for (size_t i = 0; i < kEach; ++i)
    for (uint16_t flow = 0; flow < kFlows; ++flow) {
      // every second packet is the answer: addresses and ports the other way round
      std::string frame = udp(static_cast<uint16_t>(40000 + flow), 80, fmt::format("flow {} packet {}", flow, i));
      if (i % 2 == 1) {
        std::swap_ranges(frame.begin() + 26, frame.begin() + 30, frame.begin() + 30);
        std::swap_ranges(frame.begin() + 34, frame.begin() + 36, frame.begin() + 36);
      }
      sender.send(frame);
    }
  std::this_thread::sleep_for(200ms);
  for (auto& source : *sources) source->stop();
  for (std::thread& thread : threads) thread.join();

  std::set<std::string> payloads;
  std::map<std::string, std::set<size_t>> shards_of_flow;
  for (size_t shard = 0; shard < 2; ++shard) {
    EXPECT_GT(kept[shard].size(), kFlows * kEach / 10) << "the flows are not spread";
    for (const Kept& k : kept[shard]) {
      const std::string payload = k.bytes.substr(42);
      EXPECT_TRUE(payloads.insert(payload).second) << "twice: " << payload;
      shards_of_flow[payload.substr(0, payload.find(" packet"))].insert(shard);
    }
  }
  EXPECT_EQ(payloads.size(), kFlows * kEach);
  EXPECT_EQ(shards_of_flow.size(), kFlows);
  for (const auto& [flow, shards] : shards_of_flow) EXPECT_EQ(shards.size(), 1u) << flow;
}

TEST_F(AfPacket, DropsAreCountedExactly) {
  auto source = open_one({.interfaces = {"bl0"}, .ring_bytes = 128 << 10, .block_bytes = 64 << 10});
  ASSERT_TRUE(source);
  constexpr size_t kSent = 5000;
  Sender sender("bl1");
  for (size_t i = 0; i < kSent; ++i) sender.send(udp(1, 2, std::string(400, 'x')));
  const size_t kept = take(*source, 1).size();
  const Statistics statistics = source->statistics();
  EXPECT_GT(statistics.dropped_by_kernel, kSent / 2);
  EXPECT_EQ(kept + statistics.dropped_by_kernel, kSent);
  EXPECT_GT(statistics.ring_full, 0u);
  EXPECT_EQ(source->statistics(), statistics) << "asking twice changed them";
}

TEST_F(AfPacket, AnyIsAllInterfacesAlsoLaterOnes) {
  ASSERT_TRUE(make_pair("bl2", "bl3"));
  auto source = open_one({.interfaces = {"any"}, .filter = "udp port 77"});
  ASSERT_TRUE(source);
  Sender("bl1").send(udp(77, 1, "first"));
  Sender("bl3").send(udp(77, 1, "second"));
  ASSERT_TRUE(make_pair("bl4", "bl5"));
  Sender("bl5").send(udp(77, 1, "third"));
  std::multiset<std::string> seen;
  for (const Kept& k : take(*source, 6)) seen.insert(k.interface + " " + k.bytes.substr(42));
  EXPECT_EQ(seen, (std::multiset<std::string>{"bl0 first", "bl1 first", "bl2 second", "bl3 second", "bl4 third",
                                              "bl5 third"}));
}

/// A datagram from this machine to itself.
void say_on_loopback(uint16_t port, const std::string& text) {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_GT(::sendto(fd.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
}

TEST_F(AfPacket, LoopbackShowsPacketsOnce) {
  for (const char* name : {"lo", "any"}) {
    auto source = open_one({.interfaces = {name}, .filter = "udp port 7777"});
    ASSERT_TRUE(source);
    say_on_loopback(7777, "hello");
    const auto kept = take(*source, 1);
    ASSERT_EQ(kept.size(), 1u) << name;
    EXPECT_EQ(kept[0].bytes.substr(42), "hello");
    EXPECT_EQ(kept[0].interface, "lo");
    EXPECT_EQ(kept[0].link, net::LinkType::kEthernet);
  }
}

TEST_F(AfPacket, SeveralByNameAndOneThatComesAgain) {
  ASSERT_TRUE(make_pair("bl2", "bl3"));
  auto source = open_one({.interfaces = {"bl0", "bl2", "bl0"}});
  ASSERT_TRUE(source);
  Sender("bl1").send(udp(1, 1, "one"));  // seen on bl0, and on bl1, which nobody asked for
  Sender("bl3").send(udp(1, 1, "two"));
  auto kept = take(*source, 2);
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].interface, "bl0");
  EXPECT_EQ(kept[1].interface, "bl2");
  ASSERT_TRUE(run("ip link del bl2"));
  ASSERT_TRUE(make_pair("bl2", "bl3"));
  EXPECT_TRUE(take(*source, 0).empty());  // time to notice
  Sender("bl3").send(udp(1, 1, "three"));
  kept = take(*source, 1);
  ASSERT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept[0].interface, "bl2");
}

TEST_F(AfPacket, AnInterfaceGoesDownComesUpAndIsRemoved) {
  auto source = open_one({.interfaces = {"bl0"}});
  ASSERT_TRUE(source);
  ASSERT_TRUE(run("ip link set bl0 down"));
  {
    auto batch = source->next_batch(3s);
    ASSERT_FALSE(batch);
    EXPECT_EQ(batch.error().code, Code::kUnavailable);
    EXPECT_EQ(batch.error().message, "the interface bl0 went down; capture goes on when it is up again");
    auto closed = open_af_packet({.interfaces = {"bl0"}});
    ASSERT_FALSE(closed);
    EXPECT_EQ(closed.error().message, "the interface bl0 is down (ip link set bl0 up)");
  }
  ASSERT_TRUE(run("ip link set bl0 up"));
  // The peer may take a moment to see the link; that it was down may be said once more.
  Sender sender("bl1");
  bool again = false;
  for (int i = 0; i < 20 && !again; ++i) {
    sender.send(udp(1, 1, "again"));
    auto batch = source->next_batch(300ms);
    again = batch && batch->state() == PacketBatch::State::kPackets;
    if (!batch) {
      EXPECT_EQ(batch.error().code, Code::kUnavailable);
    }
  }
  EXPECT_TRUE(again);
  ASSERT_TRUE(run("ip link del bl0"));
  for (int i = 0; i < 2; ++i) {
    auto batch = source->next_batch(3s);
    ASSERT_FALSE(batch);
    if (batch.error().code == Code::kUnavailable) continue;  // it went down first
    EXPECT_EQ(batch.error().code, Code::kNotFound);
    EXPECT_EQ(batch.error().message, "the interface bl0 was removed");
  }
}

TEST_F(AfPacket, LargePacketsOfOffloadComeWhole) {
  auto source = open_one({.interfaces = {"lo"}, .filter = "tcp"});
  ASSERT_TRUE(source);
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  constexpr size_t kBytes = 2 << 20;
  std::thread client([&] {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const std::string data(kBytes, 'd');
    for (size_t at = 0; at < data.size();) {
      const ssize_t sent = ::send(fd.get(), data.data() + at, data.size() - at, 0);
      ASSERT_GT(sent, 0);
      at += static_cast<size_t>(sent);
    }
  });
  const UniqueFd server(::accept(listener.get(), nullptr, nullptr));
  std::vector<char> sink(1 << 20);
  while (::recv(server.get(), sink.data(), sink.size(), 0) > 0) {
  }
  client.join();
  // By sequence numbers: a machine that is busy sends again even on its loopback device.
  const auto be16 = [](const std::string& bytes, size_t at) {
    return static_cast<uint32_t>(static_cast<uint8_t>(bytes[at]) << 8 | static_cast<uint8_t>(bytes[at + 1]));
  };
  size_t largest = 0;
  uint32_t first = 0;
  std::vector<bool> seen(kBytes);
  for (const Kept& k : take(*source, 1)) {
    EXPECT_EQ(k.bytes.size(), k.wire_length);
    largest = std::max(largest, k.bytes.size());
    if (be16(k.bytes, 36) != ntohs(address.sin_port)) continue;
    const uint32_t seq = be16(k.bytes, 38) << 16 | be16(k.bytes, 40);
    const bool syn = (k.bytes[47] & 2) != 0;
    if (syn) first = seq + 1;
    const size_t payload = k.bytes.size() - 34 - (static_cast<uint8_t>(k.bytes[46]) >> 4) * 4;
    const size_t at = seq - first;
    if (syn || payload == 0) continue;
    ASSERT_LE(at + payload, kBytes);
    std::fill_n(seen.begin() + static_cast<ptrdiff_t>(at), payload, true);
  }
  EXPECT_GT(largest, 30'000u);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), static_cast<ptrdiff_t>(kBytes));
}

TEST_F(AfPacket, PacketsWithoutALinkHeader) {
  const UniqueFd tun(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (!tun) GTEST_SKIP() << "no /dev/net/tun here";
  ifreq request{};
  std::strcpy(request.ifr_name, "bltun");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(tun.get(), TUNSETIFF, &request) != 0) GTEST_SKIP() << "no tun device can be made";
  ASSERT_TRUE(run("ip link set bltun up"));
  for (const char* name : {"bltun", "any"}) {
    auto source = open_one({.interfaces = {name}, .filter = "udp dst port 53"});
    ASSERT_TRUE(source);
    const std::string wanted = ip_udp(0x0a000001, 9, 53, "wanted"), other = ip_udp(0x0a000001, 9, 54, "other");
    for (const std::string& packet : {other, wanted})
      ASSERT_EQ(::write(tun.get(), packet.data(), packet.size()), static_cast<ssize_t>(packet.size()));
    Sender("bl1").send(udp(9, 54, "ethernet"));
    const auto kept = take(*source, 1);
    ASSERT_EQ(kept.size(), 1u) << name;
    EXPECT_EQ(kept[0].bytes, wanted);
    EXPECT_EQ(kept[0].link, net::LinkType::kRaw);
    EXPECT_EQ(kept[0].interface, "bltun");
  }
}

TEST_F(AfPacket, InterfacesOfAnotherNamespace) {
  const UniqueFd here(::open("/proc/thread-self/ns/net", O_RDONLY));
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
  EXPECT_FALSE(open_af_packet({.interfaces = {"bl0"}}));
  auto source = open_one({.interfaces = {"bl0"}, .network_namespace = fmt::format("/proc/self/fd/{}", here.get())});
  EXPECT_EQ(::if_nametoindex("bl0"), 0u) << "the thread was left in the other namespace";
  ASSERT_EQ(::setns(here.get(), CLONE_NEWNET), 0);
  ASSERT_TRUE(source);
  Sender("bl1").send(udp(1, 1, "from there"));
  EXPECT_EQ(take(*source, 1).size(), 1u);
}

TEST_F(AfPacket, SaysWhichInterfaceWasMeant) {
  auto sources = open_af_packet({.interfaces = {"bl00"}});
  ASSERT_FALSE(sources);
  EXPECT_EQ(sources.error().code, Code::kNotFound);
  EXPECT_EQ(sources.error().message.find("no interface 'bl00' (did you mean 'bl0'?); there are: any, "), 0u)
      << sources.error().message;
}

TEST_F(AfPacket, SaysWhichCapabilityIsMissing) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(2);
    auto sources = open_af_packet({.interfaces = {"lo"}});
    const bool good = !sources && sources.error().code == Code::kDenied &&
                      sources.error().message.find("setcap cap_net_raw+ep /") != std::string::npos;
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(AfPacket, StopEndsAWait) {
  auto source = open_one({.interfaces = {"bl0"}});
  ASSERT_TRUE(source);
  EXPECT_EQ(source->next_batch(10ms).value().state(), PacketBatch::State::kTimeout);
  std::thread stopper([&] {
    std::this_thread::sleep_for(30ms);
    source->stop();
  });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(source->next_batch(1h).value().state(), PacketBatch::State::kEnd);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
  stopper.join();
  Sender("bl1").send(udp(1, 1, "late"));
  EXPECT_EQ(source->next_batch(1s).value().state(), PacketBatch::State::kEnd);
}

}  // namespace
}  // namespace baleen::capture
