#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "capture/af_packet/af_packet.h"

// A generator on one core sends frames over a veth pair in a network namespace of our own, as fast as it can; the
// consumer on another core takes them and looks at every cache line. Needs root. Told: CPU time of the consumer per
// packet, packets per second, and packets that were dropped. BM_Tcpdump is the same with `tcpdump -w /dev/null` as the
// consumer.

namespace baleen::capture {
namespace {

using namespace std::chrono_literals;

constexpr size_t kPackets = 2'000'000;

bool run(const char* command) { return std::system(command) == 0; }

/// Moves the process into a namespace with the pair bl0 - bl1, once.
bool set_up() {
  static const bool done = ::geteuid() == 0 && ::unshare(CLONE_NEWNET) == 0 &&
                           run("for s in all default; do echo 1 > /proc/sys/net/ipv6/conf/$s/disable_ipv6; done") &&
                           run("ip link set lo up && ip link add bl0 type veth peer name bl1 && ip link set bl0 up && "
                               "ip link set bl1 up");
  return done;
}

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

double seconds(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

/// Sends kPackets frames of `length` bytes, of 16 flows. Returns how many the kernel took.
size_t generate(size_t length) {
  pin(1);
  const UniqueFd fd(::socket(AF_PACKET, SOCK_RAW, 0));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = static_cast<int>(::if_nametoindex("bl1"));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return 0;
  constexpr size_t kAtOnce = 64;
  std::vector<std::vector<uint8_t>> frames(kAtOnce, std::vector<uint8_t>(length));
  std::array<iovec, kAtOnce> parts{};
  std::array<mmsghdr, kAtOnce> messages{};
  const uint8_t header[42] = {2,
                              0,
                              0,
                              0,
                              0,
                              2,
                              2,
                              0,
                              0,
                              0,
                              0,
                              1,
                              8,
                              0,
                              0x45,
                              0,
                              static_cast<uint8_t>((length - 14) >> 8),
                              static_cast<uint8_t>(length - 14),
                              0,
                              0,
                              0,
                              0,
                              64,
                              17,
                              0,
                              0,
                              10,
                              0,
                              0,
                              1,
                              10,
                              0,
                              0,
                              2};
  for (size_t i = 0; i < kAtOnce; ++i) {
    std::copy(std::begin(header), std::end(header), frames[i].begin());
    frames[i][35] = static_cast<uint8_t>(i % 16);
    parts[i] = {frames[i].data(), length};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  size_t sent = 0;
  while (sent < kPackets) {
    const int got = ::sendmmsg(fd.get(), messages.data(), std::min(kAtOnce, kPackets - sent), 0);
    if (got > 0) sent += static_cast<size_t>(got);
  }
  return sent;
}

/// Argument: bytes of a frame.
void BM_AfPacket(benchmark::State& state) {
  if (!set_up()) {
    state.SkipWithError("needs root, network namespaces and veth");
    return;
  }
  const auto length = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    auto sources = open_af_packet({.interfaces = {"bl0"}});
    if (!sources) {
      state.SkipWithError(sources.error().message.c_str());
      return;
    }
    PacketSource& source = *sources->front();
    pin(0);
    const double start = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
    std::thread generator([&] { generate(length); });
    size_t packets = 0;
    uint64_t sum = 0;
    double last = start;
    for (;;) {
      auto batch = source.next_batch(300ms);
      if (!batch || batch->state() != PacketBatch::State::kPackets) break;
      packets += batch->size();
      for (const net::Packet& p : *batch)
        for (size_t i = 0; i < p.bytes.size(); i += 64) sum += p.bytes[i];
      if (packets >= kPackets) last = seconds(CLOCK_MONOTONIC);
      if (packets >= kPackets) break;
    }
    const double used = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu;
    if (last == start) last = seconds(CLOCK_MONOTONIC) - 0.3;
    generator.join();
    benchmark::DoNotOptimize(sum);
    const Statistics statistics = source.statistics();
    state.SetIterationTime(last - start);
    state.counters["cpu_ns_per_packet"] = used * 1e9 / static_cast<double>(packets);
    state.counters["kpps"] = static_cast<double>(packets) / (last - start) / 1e3;
    state.counters["received"] = static_cast<double>(packets);
    state.counters["dropped"] = static_cast<double>(statistics.dropped_by_kernel);
    state.counters["lost_uncounted"] =
        static_cast<double>(kPackets) - static_cast<double>(packets + statistics.dropped_by_kernel);
  }
}
BENCHMARK(BM_AfPacket)->Arg(64)->Arg(256)->Arg(1500)->Iterations(1)->Repetitions(3)->UseManualTime();

/// "123 packets captured" and the like in the words of tcpdump.
double number_before(const std::string& text, const std::string& words) {
  const size_t at = text.find(words);
  if (at == std::string::npos) return -1;
  size_t begin = at;
  while (begin > 0 && std::isdigit(static_cast<unsigned char>(text[begin - 1]))) --begin;
  return std::atof(text.substr(begin, at - begin).c_str());
}

void BM_Tcpdump(benchmark::State& state) {
  if (!set_up() || !run("command -v tcpdump >/dev/null")) {
    state.SkipWithError("needs root, network namespaces, veth and tcpdump");
    return;
  }
  for (auto _ : state) {
    int ends[2];
    if (::pipe(ends) != 0) return;
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(ends[1], 2);
      pin(0);
      ::execlp("tcpdump", "tcpdump", "-i", "bl0", "-n", "-w", "/dev/null", nullptr);
      ::_exit(127);
    }
    ::close(ends[1]);
    std::string said;
    char piece[512];
    ssize_t got;
    while (said.find("listening") == std::string::npos && (got = ::read(ends[0], piece, sizeof piece)) > 0)
      said.append(piece, static_cast<size_t>(got));
    const double start = seconds(CLOCK_MONOTONIC);
    std::thread generator([&] { generate(static_cast<size_t>(state.range(0))); });
    generator.join();
    const double took = seconds(CLOCK_MONOTONIC) - start;
    std::this_thread::sleep_for(1500ms);
    ::kill(child, SIGINT);
    while ((got = ::read(ends[0], piece, sizeof piece)) > 0) said.append(piece, static_cast<size_t>(got));
    ::close(ends[0]);
    rusage usage{};
    int status = 0;
    ::wait4(child, &status, 0, &usage);
    const double used = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                        static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    const double packets = number_before(said, " packets captured");
    state.SetIterationTime(took);
    state.counters["cpu_ns_per_packet"] = used * 1e9 / packets;
    state.counters["kpps"] = static_cast<double>(kPackets) / took / 1e3;
    state.counters["received"] = packets;
    state.counters["dropped"] = number_before(said, " packets dropped by kernel");
  }
}
BENCHMARK(BM_Tcpdump)->Arg(64)->Arg(256)->Arg(1500)->Iterations(1)->Repetitions(3)->UseManualTime();

}  // namespace
}  // namespace baleen::capture
