#include "record/packets_order.h"

#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "record/harness.h"

namespace baleen::record {
namespace {

PacketPlace place(std::string_view journal, uint64_t offset, uint32_t size) {
  return {offset, size, crc32c(as_bytes(journal.substr(offset, size)))};
}

/// Ranges of a journal in another order, and text between them; `file` is what they make.
struct Example {
  std::string journal = "0123456789abcdefghijklmnopqrstuvwxyz";
  PacketsOrder order;
  std::string file;

  Example() {
    text("head ");
    range(10, 5);
    range(20, 6);
    range(0, 3);
    text(std::string(200, '-'));
    range(35, 1);
    range(0, 36);
    text(" tail");
  }
  void text(std::string_view bytes) {
    order.add(bytes);
    file += bytes;
  }
  void range(uint64_t offset, uint32_t size) {
    order.add(place(journal, offset, size));
    file += journal.substr(offset, size);
  }
  auto opened(std::string_view text) const {
    return OrderedPackets::of(as_bytes(journal), as_bytes(text), order.size());
  }
};

TEST(PacketsOrder, AnyRangeOfTheFileIsRead) {
  const Example e;
  EXPECT_EQ(e.order.size(), e.file.size());
  EXPECT_EQ(e.order.crc32c(), crc32c(as_bytes(e.file)));
  const auto packets = e.opened(e.order.text());
  ASSERT_TRUE(packets) << packets.error().message;
  ASSERT_EQ((*packets)->size(), e.file.size());
  for (size_t at = 0; at < e.file.size(); ++at)
    for (size_t size = 1; size <= e.file.size() + 3 - at; ++size) {
      std::string out(size, '\0');
      const auto n = (*packets)->read(at, {reinterpret_cast<uint8_t*>(out.data()), size});
      ASSERT_TRUE(n);
      ASSERT_EQ(out.substr(0, *n), e.file.substr(at, size)) << at;
    }
  uint8_t byte = 0;
  EXPECT_FALSE((*packets)->read(e.file.size(), {&byte, 1}));
}

TEST(PacketsOrder, ADamagedOrderIsAnErrorOrOfThatSize) {
  const Example e;
  for (size_t cut = 0; cut < e.order.text().size(); ++cut) {
    const auto packets = e.opened(e.order.text().substr(0, cut));
    ASSERT_FALSE(packets) << cut;
    EXPECT_EQ(packets.error().code, Code::kInvalid);
  }
  for (size_t at = 0; at < e.order.text().size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      std::string text = e.order.text();
      text[at] = static_cast<char>(text[at] ^ 1 << bit);
      const auto packets = e.opened(text);
      std::string out(e.file.size(), '\0');
      if (!packets) continue;
      EXPECT_TRUE(io::read_all(**packets, 0, {reinterpret_cast<uint8_t*>(out.data()), out.size()}));
    }
  EXPECT_FALSE(OrderedPackets::of({}, as_bytes(e.order.text()), e.order.size())) << "its journal is not there";
  EXPECT_FALSE(OrderedPackets::of(as_bytes(e.journal), as_bytes(e.order.text()), e.order.size() + 1));
  EXPECT_FALSE(OrderedPackets::of(as_bytes(e.journal), as_bytes(e.order.text()), e.order.size() - 1));
}

TEST(PacketsOrder, AnEmptyFileIsOne) {
  const PacketsOrder order;
  const auto packets = OrderedPackets::of({}, as_bytes(order.text()), 0);
  ASSERT_TRUE(packets);
  EXPECT_EQ((*packets)->size(), 0u);
}

TEST(PacketsOrder, APacketTakesAFewBytesOfIt) {
  PacketsOrder order;
  constexpr uint64_t kPackets = 10'000, kStreams = 64, kRecord = 1560;
  for (uint64_t stream = 0; stream < kStreams; ++stream)
    for (uint64_t n = stream; n < kPackets; n += kStreams) order.add(PacketPlace{n * kRecord, kRecord - 12, 0});
  EXPECT_LE(order.text().size(), 6 * kPackets);
}

}  // namespace
}  // namespace baleen::record
