#include "model/file_digest.h"

#include <chrono>
#include <utility>

namespace headwater::model {

FileDigest::FileDigest(std::shared_ptr<const GgufFile> file)
    : digest_(std::async(std::launch::async | std::launch::deferred,
                         [this, file = std::move(file)] { return file->digest(&stopped_); })) {}

FileDigest::~FileDigest() {
  stopped_ = true;
  // One that was put off is not begun now.
  if (digest_.valid() && digest_.wait_for(std::chrono::seconds(0)) != std::future_status::deferred) digest_.wait();
}

}  // namespace headwater::model
