#include "index/strict_json.h"

#include <gtest/gtest.h>

namespace baleen::index {
namespace {

TEST(StrictJson, HasNullForWhatIsNoNumberHoweverItIsCut) {
  const std::string loose =
      R"({"NaN":NaN,"a \" NaN":[Infinity,-Infinity,-1.5e-10,1E5,true],"b\\":{"c":null,"d":"-Infinity"},"e":false})"
      "\nNaN";
  const std::string strict =
      R"({"NaN":null,"a \" NaN":[null,null,-1.5e-10,1E5,true],"b\\":{"c":null,"d":"-Infinity"},"e":false})"
      "\nnull";
  for (size_t piece = 1; piece <= loose.size(); ++piece) {
    StrictJson json;
    std::string out;
    for (size_t at = 0; at < loose.size(); at += piece) out += json.next(std::string_view(loose).substr(at, piece));
    out += json.finish();
    ASSERT_EQ(out, strict) << piece;
  }
}

}  // namespace
}  // namespace baleen::index
