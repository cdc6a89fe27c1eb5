#include "item/item.h"

#include <gtest/gtest.h>

#include <thread>

namespace baleen::item {
namespace {

TEST(Value, is_total) {
  const Value v("text");
  EXPECT_EQ(v.as_int(), 0);
  EXPECT_TRUE(v.members().empty());
  EXPECT_TRUE(v["missing"].is_null());
  EXPECT_EQ(Value(1e300).as_int(), INT64_MAX);
}

TEST(Value, finds_header_names_without_regard_to_case_but_exact_ones_first) {
  const Member members[] = {{"x-user", "a"}, {"X-User", "b"}};
  const Value headers = Value::map(members, true);
  EXPECT_EQ(headers["X-User"].text(), "b");
  EXPECT_EQ(headers["X-USER"].text(), "a");
  EXPECT_TRUE(Value::map(members)["X-USER"].is_null());
}

TEST(Value, compares_deeply) {
  const Value list[] = {1, 2.0};
  const Value same[] = {1.0, 2};
  EXPECT_TRUE(Value::list(list) == Value::list(same));
  EXPECT_FALSE(Value("1") == Value(1));
}

TEST(ItemPool, takes_again_what_its_own_thread_gave_back_last) {
  ItemPool pool;
  Item *const one = pool.take(), *const other = pool.take();
  ItemRef(one).reset();
  EXPECT_EQ(pool.live(), 1u);
  ItemRef(other).reset();
  EXPECT_EQ(pool.live(), 0u);
  EXPECT_EQ(pool.take(), other);
  EXPECT_EQ(pool.take(), one);
  pool.give(one);
  std::thread([&] { pool.give_back(other); }).join();
  EXPECT_EQ(pool.live(), 1u);  // another thread's come when they are needed
  EXPECT_EQ(pool.take(), one);
  EXPECT_EQ(pool.take(), other);
  pool.give(one), pool.give(other);
}

TEST(ItemPool, gets_items_back_from_other_threads) {
  ItemPool pool;
  for (int round = 0; round < 10; ++round) {
    ItemRef first(pool.take());
    ItemRef second = first;
    std::thread([r = std::move(first)]() mutable { r.reset(); }).join();
    EXPECT_TRUE(second);
    std::thread([r = std::move(second)]() mutable { r.reset(); }).join();
  }
  EXPECT_LE(pool.live(), 1u);
}

}  // namespace
}  // namespace baleen::item
