import Testing

@testable import Agent

@Suite("Sliding window")
struct SlidingWindowTests {
    @Test("The mean is of the last samples only")
    func window() {
        var window = SlidingWindow(size: 3)
        #expect(window.mean == 0)
        for value in [9.0, 1, 2, 3] { window.add(value) }
        #expect(window.mean == 2)
    }

    @Test("A sample weighs what it stands for, and impossible ones nothing")
    func weights() {
        var window = SlidingWindow(size: 0)
        window.add(.nan)
        window.add(1, weight: 0)
        #expect(window.mean == 0)
        window = SlidingWindow(size: 2)
        window.add(1, weight: 3)
        window.add(0, weight: 1)
        #expect(window.mean == 0.75)
    }
}
