#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace baleen::cmd {

/// Collects HTTP items into a HAR 1.2 document (http://www.softwareishard.com/blog/har-12-spec/). Items of other
/// protocols are left out.
class HarWriter {
 public:
  HarWriter();
  ~HarWriter();
  /// False when it is left out.
  bool add(std::string_view item_json);
  std::string text() const;

 private:
  struct Document;
  std::unique_ptr<Document> document_;
};

}  // namespace baleen::cmd
