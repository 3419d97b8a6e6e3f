import Testing

@testable import lighter

@Suite("What commands print")
struct OutputTests {
    @Test("A failure is one line, whatever the error says")
    func oneLine() {
        struct Trouble: Error, CustomStringConvertible { let description = "first\n\n  second\r\n" }
        #expect(CommandFailure(Trouble()).description == "first; second")
    }

    @Test(
        "Numbers have at most one decimal, and what is no number is a dash",
        arguments: [
            (1.0, "1"), (1.04, "1"), (1.25, "1.3"), (0.5, "0.5"), (.infinity, "-"), (.nan, "-"),
        ])
    func short(_ value: Double, _ text: String) {
        #expect(value.short == text)
    }

    @Test("The ends of a text are trimmed", arguments: [("  a b \n", "a b"), ("", ""), (" \t", ""), ("x", "x")])
    func trimmed(_ text: String, _ result: String) {
        #expect(text.trimmed == result)
    }
}
