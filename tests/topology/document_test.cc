#include "topology/document.h"

#include <sstream>

#include "tests/topology/check.h"

namespace headwater::topology {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Document, KeepsThePlaceOfEveryKeyAndValue) {
  Problems problems;
  const Node root = read_document("a: 1\nb:\n  - x\n  - { c: 'y' }\n", problems);
  EXPECT_TRUE(std::move(problems).sorted().empty());
  const Node& list = *root.find("b");
  EXPECT_EQ(list.key_where.line, 2);
  EXPECT_EQ(list.items.at(0).where.line, 3);
  EXPECT_EQ(list.items.at(0).where.column, 5);
  const Node& deep = *list.items.at(1).find("c");
  EXPECT_EQ(deep.key_where.column, 7);
  EXPECT_EQ(deep.where.column, 10);
  EXPECT_EQ(deep.text, "y");
  EXPECT_TRUE(deep.quoted);
  EXPECT_FALSE(root.find("a")->quoted);
}

TEST(Document, SyntaxErrorsHaveAPlace) {
  EXPECT_THAT(report("name: [a\nmodel: x\n"), StartsWith("t.yaml:2:"));
  EXPECT_THAT(report("name: [a\nmodel: x\n"), HasSubstr("not valid YAML: "));
  EXPECT_THAT(report("a: b: c\n"), StartsWith("t.yaml:1:5: not valid YAML: "));
  EXPECT_THAT(report("%YAML 9.9\n---\na: b\n"), HasSubstr("not valid YAML: "));
}

TEST(Document, AnEmptyFileIsSaidToBeEmpty) {
  for (const std::string text : {"", "\n\n", "# only a comment\n", "---\n", "~\n"}) {
    EXPECT_THAT(report(text), StartsWith("t.yaml:1:1: the file is empty;")) << text;
  }
}

TEST(Document, ASecondDocumentIsRefused) {
  EXPECT_THAT(report(kSound + "---\nname: b\n"), StartsWith("t.yaml:12:1: a second document begins here"));
  EXPECT_EQ(report("---\n" + kSound + "...\n"), "");
}

TEST(Document, DuplicateKeysAreRefused) {
  EXPECT_EQ(report(kSound + "name: b\n"), "t.yaml:12:1: the key \"name\" stands twice, first in line 1; remove one\n");
}

TEST(Document, KeysThatAreNoNamesAreRefused) {
  EXPECT_THAT(report(kSound + "? [a, b]\n: c\n"), HasSubstr("t.yaml:12:3: a key must be a name, and this is a list"));
  EXPECT_THAT(report(kSound + "? \n: c\n"), HasSubstr("a key must be a name, and this is empty"));
}

TEST(Document, AnchorsAliasesAndTagsAreRefused) {
  const std::string said = report(with("m.gguf", "&p m.gguf") + "threads: *p\n");
  EXPECT_THAT(said, HasSubstr("t.yaml:2:16: anchors (&name) are not allowed"));
  EXPECT_THAT(said, HasSubstr("t.yaml:12:10: aliases (*name) are not allowed"));
  EXPECT_THAT(report(with("m.gguf", "!!binary bS5nZ3Vm")),
              HasSubstr("the tag \"tag:yaml.org,2002:binary\" is not allowed"));
}

TEST(Document, AnAliasBombIsNeverExpanded) {
  std::ostringstream bomb;
  bomb << "a0: &a0 [x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 100; ++i) {
    const int last = i - 1;
    bomb << "a" << i << ": &a" << i << " [*a" << last << ", *a" << last << ", *a" << last << "]\n";
  }
  EXPECT_THAT(report(bomb.str()), HasSubstr("aliases (*name) are not allowed"));
}

TEST(Document, DepthAndNumberOfValuesAreCapped) {
  EXPECT_THAT(report("a: " + std::string(100000, '[')), HasSubstr("nested deeper than 16 levels"));
  EXPECT_THAT(report("a: " + std::string(100000, '{')), HasSubstr("not valid YAML"));
  std::string list = "a: [";
  for (std::size_t i = 0; i <= kMaxNodes; ++i) list += "x,";
  EXPECT_THAT(report(list + "]\n"), HasSubstr("more than 10000 values"));
}

TEST(Document, AFileThatIsTooLargeIsNotParsed) {
  const std::string large = kSound + "#" + std::string(kMaxFileBytes, 'x');
  EXPECT_THAT(report(large), StartsWith("t.yaml:1:1: the file has "));
}

TEST(Document, BytesThatAreNoTextAreRefusedWithThePlace) {
  EXPECT_EQ(report(std::string("name: a\nb\0c", 11)),
            "t.yaml:2:2: this byte cannot stand in a topology file; save the file as UTF-8 text\n");
  EXPECT_THAT(report("name: a\x04"), StartsWith("t.yaml:1:8: this byte"));
  EXPECT_THAT(report("\xFE\xFF"), StartsWith("t.yaml:1:1: this byte"));
}

TEST(Document, EscapesFromAFileNeverReachTheTerminal) {
  const std::string said = report(kSound + "\"\\x1b[2J\": 1\n");
  EXPECT_THAT(said, HasSubstr("unknown key \"?[2J\""));
  EXPECT_THAT(said, Not(HasSubstr("\x1b")));
}

TEST(Names, TheNearestIsGivenOnlyWhereOneIsNear) {
  const std::vector<std::string> known{"scheduler", "tokenizer", "detokenizer"};
  EXPECT_EQ(nearest("schedular", known), "scheduler");
  EXPECT_EQ(nearest("detokeniser", known), "detokenizer");
  EXPECT_EQ(nearest("zzz", known), "");
  EXPECT_EQ(nearest("", known), "");
  EXPECT_EQ(nearest(std::string(100000, 'a'), known), "");
  EXPECT_EQ(suggest("zzz", {"a", "bb"}), " (known: a, bb)");
}

TEST(Document, SaysThatATabIndents) {
  EXPECT_THAT(report(with("  - { id: match,", "\t- { id: match,")),
              testing::StartsWith("t.yaml:6:1: a tab indents this line; YAML takes spaces alone"));
  EXPECT_EQ(report(with("{ id: match,", "{ id:\tmatch,")), "") << "between words it may stand";
}

}  // namespace
}  // namespace headwater::topology
