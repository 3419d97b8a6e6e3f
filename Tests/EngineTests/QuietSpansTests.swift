import Engine
import Testing

@Suite("Quiet spans")
struct QuietSpansTests {
    @Test("What happens in a span is covered, before its end is known and after; what happens outside is not")
    func spans() {
        var spans = QuietSpans()
        spans.begin("a", now: 10)
        #expect(spans.covers("a", at: 99))
        spans.end("a", now: 11)
        #expect(spans.covers("a", at: 10) && spans.covers("a", at: 10.5) && spans.covers("a", at: 11))
        #expect(!spans.covers("a", at: 9.9) && !spans.covers("a", at: 11.1) && !spans.covers("b", at: 10.5))
        spans.begin("a", now: 20)
        spans.end("a", now: 21)
        #expect(spans.covers("a", at: 10.5) && spans.covers("a", at: 20.5) && !spans.covers("a", at: 15))
    }

    @Test("The oldest are forgotten, so that a long life costs nothing")
    func bound() {
        var spans = QuietSpans()
        for second in 0..<1000 {
            spans.begin("a", now: Double(second))
            spans.end("a", now: Double(second) + 0.5)
        }
        #expect(!spans.covers("a", at: 0.2) && spans.covers("a", at: 999.2))
    }
}
