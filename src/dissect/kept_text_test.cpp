#include "dissect/kept_text.h"

#include <gtest/gtest.h>

#include <string>

namespace baleen::dissect {
namespace {

TEST(KeptText, PiecesLieInOnePlaceAndMoveSeldom) {
  BlockPool pool;
  Arena arena(&pool);
  KeptText text;
  std::string all;
  size_t moves = 0;
  for (size_t i = 0; i < 100'000; ++i) {  // chunks of ten bytes, each announced when it begins
    const std::string piece = std::to_string(1'000'000'000 + i);
    const char* const before = text.data();
    text.add(as_bytes(piece), piece.size(), UINT64_MAX, arena);
    moves += before != text.data();
    all += piece;
  }
  EXPECT_EQ(text.view(), all);
  EXPECT_LE(moves, 14u);
  EXPECT_LE(arena.footprint(), 5 * all.size());  // with all places where it lay before
}

TEST(KeptText, WhatIsOnlyAnnouncedTakesLittleRoom) {
  BlockPool pool;
  Arena arena(&pool);
  KeptText text;
  text.add(as_bytes("a"), 1 << 30, 1 << 30, arena);
  EXPECT_LE(arena.footprint(), 4096u);
  text.add(as_bytes(std::string(10'000, 'b')), (1 << 30) - 1, 1 << 30, arena);
  EXPECT_LE(arena.footprint(), 80'000u);
}

TEST(KeptText, WhatIsThereAtOnceTakesNoMoreThanItIs) {
  Arena arena;
  KeptText text, next;
  text.add(as_bytes("hello"), 5, 5, arena);
  next.add(as_bytes("world"), 5, 5, arena);
  EXPECT_EQ(next.data(), text.data() + 5);
  KeptText none;
  none.add({}, 0, 0, arena);
  EXPECT_EQ(none.view(), "");
}

TEST(KeptText, IsCut) {
  Arena arena;
  KeptText text;
  text.add(as_bytes("a mail\r\n.\r\n"), 11, 100, arena);
  text.cut(8);
  EXPECT_EQ(text.view(), "a mail\r\n");
  text.cut(100);
  EXPECT_EQ(text.size(), 8u);
}

}  // namespace
}  // namespace baleen::dissect
