// What a hostile or careless sender can do to a connection's memory and work, and what is counted then.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dissect/http2/http2.h"
#include "dissect/http2/test_frames.h"
#include "dissect/play.h"

namespace baleen::dissect::http2 {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Plays it, and goes on with a stream that has nothing wrong with it.
struct Played {
  explicit Played(const std::string& hostile, Settings limits = {}) {
    out.limits = limits;
    player.arrive(Direction::kToServer, hello() + hostile, 1400);
    player.arrive(Direction::kToServer, get(101, "/next"));
    player.arrive(Direction::kToServer, get(103, "/last"));
    player.arrive(Direction::kToClient, settings() + ok(101, true) + ok(103, true));
    session.close(false, out);
    EXPECT_EQ(out.held(), 0);
  }
  Collected out;
  Http2 session;
  Player player{session, out};
};

TEST(Http2Limits, AFloodOfContinuationsIsRefused) {
  // A block that never ends: empty frames, and frames with content.
  for (const std::string& part : {std::string(), std::string(100, '\x82')}) {
    std::string flood = frame(kHeaders, kEndStream, 1, "\x82");
    for (int i = 0; i < 40000; ++i) flood += frame(kContinuation, 0, 1, part);
    const Played played(flood);
    EXPECT_EQ(played.out.counted(Counter::kMessageTooLong), 1u);
    EXPECT_THAT(played.out.items.back(), HasSubstr("\"path\":\"/last\""));
  }
}

TEST(Http2Limits, AnEntryThatIsNamedAgainAndAgainIsCutShort) {
  const Header big{"cookie", std::string(4000, 'c')};
  std::string bomb = literal({":method", "GET"}) + unhex("40") + sized(1, big.first) + unhex("7f a11e") + big.second;
  for (int i = 0; i < 10000; ++i) bomb += '\xbe';
  const Played played(frame(kHeaders, kEndStream | kEndHeaders, 1, bomb));
  EXPECT_EQ(played.out.counted(Counter::kMessageTooLong), 1u);
  EXPECT_THAT(played.out.items, ElementsAre(HasSubstr("\"path\":\"/next\""), HasSubstr("\"path\":\"/last\""),
                                            HasSubstr("error=header list too long")));
  EXPECT_LT(played.out.items[2].size(), 600u << 10);
}

TEST(Http2Limits, StreamsThatNobodyAnswersMakeRoom) {
  Settings limits;
  limits.pending_cap = 8;
  std::string many;
  for (uint32_t id = 1; id < 101; id += 2) many += get(id);
  const Played played(many, limits);
  EXPECT_EQ(played.out.counted(Counter::kTooManyPending), 44u);
  EXPECT_EQ(played.out.items.size(), 52u);
}

TEST(Http2Limits, ATableWhoseSizeChangesIsFollowed) {
  // RFC 7541 6.3: smaller, so that all goes, and larger than at the beginning.
  const std::string first = frame(kHeaders, kEndHeaders | kEndStream, 1, unhex("82 86 84 40 01 'a' 01 '1'"));
  const std::string smaller =
      frame(kHeaders, kEndHeaders | kEndStream, 3, unhex("20 3f e1 ff 03 82 86 84 40 01 'b' 01 '2'"));
  const std::string then = frame(kHeaders, kEndHeaders | kEndStream, 5, unhex("82 86 84 be"));
  const Played played(first + smaller + then);
  EXPECT_THAT(played.out.items, ElementsAre(HasSubstr("/next"), HasSubstr("/last"), HasSubstr("\"A\":\"1\""),
                                            HasSubstr("\"B\":\"2\""), HasSubstr("\"B\":\"2\"")));
}

}  // namespace
}  // namespace baleen::dissect::http2
