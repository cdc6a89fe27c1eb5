#pragma once

// Table tests that every dissector has: rows of scripted conversations with what must be in their items.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "dissect/play.h"
#include "dissect/test_bytes.h"

namespace baleen::dissect {

struct Row {
  const char* name;
  std::vector<Said> script;
  std::vector<std::string> expect;  // for each item one substring or several, '|' between
};

inline void expect_items(const std::vector<std::string>& items, const Row& row) {
  ASSERT_EQ(items.size(), row.expect.size()) << row.name << "\n" << ::testing::PrintToString(items);
  for (size_t i = 0; i < items.size(); ++i) {
    std::string_view rest = row.expect[i];
    while (!rest.empty()) {
      const std::string part(rest.substr(0, rest.find('|')));
      rest.remove_prefix(std::min(rest.size(), part.size() + 1));
      EXPECT_THAT(items[i], ::testing::HasSubstr(part)) << row.name;
    }
  }
}

/// The items of a conversation in which bytes were lost: behind the first `n` of a turn, which is said anew.
template <class D>
std::vector<std::string> play_with_hole(const std::vector<Said>& script, size_t turn, size_t n, size_t piece) {
  Collected out;
  auto session = std::make_unique<D>();
  Player player(*session, out);
  for (size_t i = 0; i < script.size(); ++i) {
    const Direction d = script[i].direction;
    if (i == turn) {
      player.arrive(d, std::string_view(script[i].bytes).substr(0, n), piece, timestamp_from_ns(1));
      player.lose(d);
    }
    player.arrive(d, script[i].bytes, piece, timestamp_from_ns(static_cast<int64_t>(i) + 2));
  }
  session->close(false, out);
  EXPECT_EQ(out.held(), 0);
  return out.items;
}

/// The rows' items; the law of cuts for each; every truncation and a hole anywhere in each.
template <class D>
void check_table(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const auto whole = play<D>(row.script);
    expect_items(whole, row);
    for (const size_t piece : {1u, 2u, 3u, 5u, 7u, 11u, 19u, 33u, 64u})
      EXPECT_EQ(play<D>(row.script, piece), whole) << row.name << " " << piece;
    for (size_t turn = 0; turn < row.script.size(); ++turn) {
      const size_t size = row.script[turn].bytes.size();
      for (size_t n = 0; n < size; n += size > 600 ? 7 : 1) {
        std::vector<Said> cut(row.script.begin(), row.script.begin() + static_cast<std::ptrdiff_t>(turn) + 1);
        cut.back().bytes.resize(n);
        EXPECT_EQ(play<D>(cut), play<D>(cut, 1)) << row.name << " cut at " << n;
        if (n % 3 == 1) {
          EXPECT_EQ(play_with_hole<D>(row.script, turn, n, SIZE_MAX), play_with_hole<D>(row.script, turn, n, 1))
              << row.name << " with a hole behind byte " << n << " of turn " << turn;
        }
      }
    }
  }
}

/// Every datagram whole, and cut short anywhere: nothing but an answer is wanted of the latter.
template <class D>
std::vector<std::string> play_datagrams(const std::vector<Said>& script) {
  Collected out;
  auto session = std::make_unique<D>();
  int64_t t = 0;
  for (const Said& said : script) {
    const std::vector<uint8_t> exact(said.bytes.begin(), said.bytes.end());
    session->dissect({said.direction, {exact.data(), exact.size()}, timestamp_from_ns(++t), true, true}, out);
  }
  session->close(false, out);
  EXPECT_EQ(out.held(), 0);
  return out.items;
}

template <class D>
void check_datagrams(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    expect_items(play_datagrams<D>(row.script), row);
    for (size_t turn = 0; turn < row.script.size(); ++turn)
      for (size_t n = 0; n < row.script[turn].bytes.size(); ++n) {
        std::vector<Said> cut = row.script;
        cut[turn].bytes.resize(n);
        play_datagrams<D>(cut);
        D::probe({cut[turn].direction, as_bytes(cut[turn].bytes), {}, true, true});
      }
  }
}

/// Turns of other protocols that no probe but their own may claim, in both directions.
template <class D>
void expect_no_claim(std::string_view bytes, Direction d) {
  EXPECT_NE(D::probe({d, as_bytes(bytes), {}, false}), Probe::kYes) << bytes.substr(0, 40);
}

template <class D>
Probe probe_of(Direction d, std::string_view bytes, bool end = false) {
  const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
  return D::probe({d, {exact.data(), exact.size()}, {}, end});
}

/// A probe's answer may only become firmer as bytes come.
template <class D>
void expect_probe(Direction d, std::string_view bytes, Probe expected) {
  EXPECT_EQ(probe_of<D>(d, bytes), expected) << bytes;
  Probe firm = Probe::kUnsure;
  for (size_t n = 0; n <= bytes.size(); ++n) {
    const Probe p = probe_of<D>(d, bytes.substr(0, n));
    if (firm != Probe::kUnsure) {
      EXPECT_EQ(p, firm) << n << " bytes of " << bytes;
    }
    if (firm == Probe::kUnsure) firm = p;
  }
}

}  // namespace baleen::dissect
