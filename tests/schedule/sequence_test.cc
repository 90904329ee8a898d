#include "schedule/sequence.h"

#include <gtest/gtest.h>

namespace headwater::schedule {
namespace {

Sequence sequence(RequestId id, ConnectionId connection, std::vector<TokenId> tokens = {1}, std::string salt = "") {
  auto request = std::make_shared<AdmittedRequest>();
  request->id = id;
  request->connection = connection;
  request->prompt = tokens;
  request->max_new_tokens = 2;
  request->request.cache_salt = std::move(salt);
  Sequence sequence;
  sequence.request = request;
  sequence.tokens = std::move(tokens);
  sequence.age = id;
  return sequence;
}

std::vector<RequestId> ids(const std::vector<Sequence*>& sequences) {
  std::vector<RequestId> ids;
  for (const Sequence* sequence : sequences) ids.push_back(sequence->id());
  return ids;
}

TEST(WaitingQueue, LetsConnectionsTakeTurns) {
  Sequence a1 = sequence(1, 1), a2 = sequence(2, 1), a3 = sequence(3, 1), b4 = sequence(4, 2), c5 = sequence(5, 3);
  WaitingQueue queue;
  for (Sequence* one : {&a1, &a2, &a3, &b4, &c5}) queue.push_back(one);
  EXPECT_EQ(ids(queue.first(9)), (std::vector<RequestId>{1, 4, 5, 2, 3}));
  EXPECT_EQ(ids(queue.first(2)), (std::vector<RequestId>{1, 4}));
  queue.take(&a1);
  EXPECT_EQ(ids(queue.first(9)), (std::vector<RequestId>{4, 5, 2, 3}));
}

TEST(WaitingQueue, KeepsTheTurnOfAConnectionWhenOneOfItsSequencesLeaves) {
  Sequence a1 = sequence(1, 1), a2 = sequence(2, 1), b3 = sequence(3, 2);
  WaitingQueue queue;
  for (Sequence* one : {&a1, &a2, &b3}) queue.push_back(one);
  queue.remove(&a1);
  EXPECT_EQ(ids(queue.first(9)), (std::vector<RequestId>{2, 3}));
  queue.remove(&a2);
  queue.remove(&a2);  // no longer there
  EXPECT_EQ(ids(queue.first(9)), (std::vector<RequestId>{3}));
}

TEST(WaitingQueue, PutsThoseThatComeBackInFrontOldestFirst) {
  Sequence a1 = sequence(1, 1), a2 = sequence(2, 1), b3 = sequence(3, 2);
  WaitingQueue queue;
  queue.push_back(&b3);
  queue.push_front(&a2);
  queue.push_front(&a1);
  EXPECT_EQ(ids(queue.first(9)), (std::vector<RequestId>{1, 2, 3}));
  queue.take(&a2);
  EXPECT_EQ(ids(queue.first(9)), (std::vector<RequestId>{1, 3}));
}

Sequence of_tenant(const std::string& tenant, RequestId id, std::size_t tokens) {
  Sequence one = sequence(id, id, std::vector<TokenId>(tokens, 1));
  auto request = std::make_shared<AdmittedRequest>(*one.request);
  request->request.tenant = tenant;
  one.request = request;
  return one;
}

TEST(WaitingQueue, LetsTenantsTakeTurnsByWhatTheyWereServed) {
  Sequence a1 = of_tenant("a", 1, 100), a2 = of_tenant("a", 2, 100), a3 = of_tenant("a", 3, 100);
  Sequence b4 = of_tenant("b", 4, 40), b5 = of_tenant("b", 5, 40), b6 = of_tenant("b", 6, 40);
  WaitingQueue queue;
  for (Sequence* one : {&a1, &a2, &a3, &b4, &b5, &b6}) queue.push_back(one);
  // 100 tokens of a's are as much as two and a half of b's.
  EXPECT_EQ(ids(queue.first(9)), (std::vector<RequestId>{1, 4, 5, 6, 2, 3}));
  queue.take(&a1);
  EXPECT_EQ(ids(queue.first(2)), (std::vector<RequestId>{4, 5}));
  queue.charge("b", 500);  // its answers are long
  EXPECT_EQ(ids(queue.first(9)), (std::vector<RequestId>{2, 3, 4, 5, 6}));
}

TEST(WaitingQueue, LetsNoTenantSaveServiceUp) {
  Sequence a1 = of_tenant("a", 1, 1000), a2 = of_tenant("a", 2, 1000), a3 = of_tenant("a", 3, 1000);
  Sequence b4 = of_tenant("b", 4, 1000), b5 = of_tenant("b", 5, 1000);
  WaitingQueue queue;
  for (Sequence* one : {&a1, &a2, &a3}) queue.push_back(one);
  queue.take(&a1);
  queue.take(&a2);
  // b comes late, and is served next, but not until it has had all that a had.
  queue.push_back(&b4);
  queue.push_back(&b5);
  EXPECT_EQ(ids(queue.first(9)), (std::vector<RequestId>{4, 3, 5}));
}

TEST(SharedPrefix, CountsWholeBlocksShortOfTheLastTokenOfTheReader) {
  const Sequence eight = sequence(1, 1, {1, 2, 3, 4, 5, 6, 7, 8}), nine = sequence(2, 1, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  EXPECT_EQ(shared_prefix(eight, nine, 4), 4U);
  EXPECT_EQ(shared_prefix(nine, eight, 4), 8U);
  EXPECT_EQ(shared_prefix(nine, eight, {4, 2}), 6U);
  EXPECT_EQ(shared_prefix(nine, sequence(3, 1, {1, 2, 3, 4, 5, 0}), 4), 4U);
  EXPECT_EQ(shared_prefix(nine, sequence(3, 1, {0, 2, 3, 4, 5, 6}), 4), 0U);
}

TEST(SharedPrefix, IsNothingForAnotherTenant) {
  const Sequence a = sequence(1, 1, {1, 2, 3, 4, 5}, "a"), b = sequence(2, 1, {1, 2, 3, 4, 5}, "b");
  EXPECT_EQ(shared_prefix(a, a, 4), 4U);
  EXPECT_EQ(shared_prefix(a, b, 4), 0U);
}

TEST(Sequence, ForeseesNoTokenAfterTheLastOfTheAnswer) {
  Sequence one = sequence(1, 1, {1, 2, 3});
  one.planned = 3;
  EXPECT_EQ(one.uncomputed_after_step(), 1U);
  one.planned = 2;
  EXPECT_EQ(one.uncomputed_after_step(), 1U);
  one.tokens.push_back(4);
  one.computed = 3;
  one.planned = 1;
  EXPECT_EQ(one.uncomputed_after_step(), 0U);
}

}  // namespace
}  // namespace headwater::schedule
