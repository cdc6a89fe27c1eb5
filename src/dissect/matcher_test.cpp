#include "dissect/matcher.h"

#include <gtest/gtest.h>

#include "dissect/dns/dns.h"
#include "dissect/play.h"

namespace baleen::dissect {
namespace {

using std::chrono::milliseconds;

/// An answer that came at `time`.
item::Item* answer_at(Collected& out, Timestamp time) {
  item::Item* const item = out.begin(dns::Dns::kProtocol);
  item->outcome = item::Outcome::kNoRequest;
  item->response = {.payload = "answer", .time = time, .size = 1, .present = true};
  return item;
}

TEST(EarlyAnswers, wait_for_a_moment) {
  const Timestamp t0 = timestamp_from_ns(1'700'000'000'000'000'000);
  for (const auto& [later, found] : {std::pair{milliseconds(0), true},
                                     {milliseconds(200), true},
                                     {milliseconds(-200), true},
                                     {milliseconds(201), false},
                                     {milliseconds(-201), false}}) {
    Collected out;
    EarlyAnswers early;
    early.keep(7, answer_at(out, t0), out);
    EXPECT_EQ(early.take(8, t0, out), nullptr);
    item::Item* const item = early.take(7, t0 + later, out);
    EXPECT_EQ(item != nullptr, found) << later.count();
    if (item != nullptr) {
      EXPECT_EQ(item->outcome, item::Outcome::kPaired);
      EXPECT_GE(item->response.time, t0 + later) << "as if the clocks were one";
      out.finish(item);
    }
    early.finish_all(out);
    EXPECT_EQ(out.held(), 0);
    EXPECT_EQ(out.counted(Counter::kHalfResponses), found ? 0u : 1u);
  }
}

TEST(EarlyAnswers, are_few_and_the_oldest_goes_first) {
  const Timestamp t0 = timestamp_from_ns(1'700'000'000'000'000'000);
  Collected out;
  EarlyAnswers early;
  for (uint64_t key = 0; key <= EarlyAnswers::kMost; ++key) early.keep(key, answer_at(out, t0), out);
  EXPECT_EQ(out.items.size(), 1u);
  EXPECT_EQ(out.counted(Counter::kHalfResponses), 1u);
  EXPECT_EQ(early.take(0, t0, out), nullptr);
  item::Item* const last = early.take(EarlyAnswers::kMost, t0, out);
  ASSERT_NE(last, nullptr);
  out.finish(last);
  early.finish_all(out);
  EXPECT_EQ(out.held(), 0);
}

}  // namespace
}  // namespace baleen::dissect
