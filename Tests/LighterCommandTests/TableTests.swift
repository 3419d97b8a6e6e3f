import Testing

@testable import lighter

@Suite("Table")
struct TableTests {
    @Test("Columns are as wide as their widest cell, and no line ends in blanks")
    func aligns() {
        var table = Table("NAME", "STATE")
        table.add("a", "running")
        table.add("a-longer-one", "")
        #expect(table.text == "NAME           STATE\na              running\na-longer-one")
    }

    @Test("A cell cannot move the cursor or begin a line of its own")
    func controls() {
        var table = Table("NAME", "STATE")
        table.add("\u{1b}[2Jx\n", "ok\r")
        #expect(table.text.split(separator: "\n").last == "[2Jx   ok")
    }

    @Test("Missing cells are empty and those beyond the headings are left out")
    func counts() {
        var table = Table("A", "B")
        table.add("1")
        table.add("1", "2", "3")
        #expect(table.text == "A   B\n1\n1   2")
    }
}
