#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "record/block_writer.h"

namespace baleen::offline {

/// Writes blocks one after the other below a folder, each as large as those of a worker. What is not whole when the
/// process dies is lost: the input is still there. One thread.
class LooseBlocks {
 public:
  /// What becomes of a block's three files, which lie in `folder` and go afterwards.
  using Publish = std::function<Result<>(const std::string& folder, const index::BlockRecord& record)>;

  LooseBlocks(std::string folder, record::BlockOwner owner, Publish publish);
  /// The block in hand, perhaps a new one.
  Result<record::BlockWriter*> open();
  /// Publishes the block in hand when it is large enough; with `anyway`, also a small one.
  Result<> close(const std::vector<record::InterfaceName>& interfaces, bool anyway = false);
  uint64_t blocks() const { return owner_.sequence; }

 private:
  std::string folder_;
  record::BlockOwner owner_;
  Publish publish_;
  std::unique_ptr<record::BlockWriter> block_;
};

/// Moves a block's files to where a store of files that begins at `root` has them.
Result<> move_into_folder(const std::string& root, const std::string& folder, const index::BlockRecord& record);

}  // namespace baleen::offline
