import Fleet
import Testing

@testable import Agent

@Suite("Reading the kernel's text")
struct KernelTextTests {
    @Test(
        "Processor time: idle and waiting are not busy, guests are not counted twice",
        arguments: [
            ("cpu  10 1 2 80 5 1 1 3 7 7\ncpu0 1 1 1 1\n", 18, 103), ("cpu 1 2 3 4\n", 6, 10),
            ("cpu  0 0 0 0 0 0 0 0 0 0", 0, 0),
        ] as [(String, UInt64, UInt64)])
    func processorTime(text: String, busy: UInt64, total: UInt64) {
        #expect(KernelText.processorTime(text) == .init(busy: busy, total: total))
    }

    @Test(
        "Garbage is no processor time",
        arguments: [
            "", "\n", "cpu", "cpu  1 2 3", "cpu  a b c d", "cpu0 1 2 3 4", "cpu  -1 2 3 4",
            "cpu  18446744073709551615 1 1 1",
            "intr 1 2 3 4 5", "cpu  18446744073709551616 1 1 1",
        ])
    func noProcessorTime(text: String) { #expect(KernelText.processorTime(text) == nil) }

    @Test("Memory is the total and what is available")
    func memory() throws {
        let text = "MemTotal:       24633780 kB\nMemFree:        1 kB\nMemAvailable:   23697088 kB\n"
        let memory = try #require(KernelText.memory(text))
        #expect(memory.total == .kibibytes(24_633_780))
        #expect(memory.available == .kibibytes(23_697_088))
    }

    @Test(
        "Garbage is no memory",
        arguments: [
            "", "MemTotal: 5 kB", "MemAvailable: 5 kB", "MemTotal: 0 kB\nMemAvailable: 0 kB",
            "MemTotal: x kB\nMemAvailable: 1 kB",
            "MemTotal: 9223372036854775807 kB\nMemAvailable: 1 kB", "MemTotal:\nMemAvailable:\n",
        ])
    func noMemory(text: String) { #expect(KernelText.memory(text) == nil) }

    @Test(
        "Pressure is the part of ten seconds in which some waited",
        arguments: [
            ("some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0 avg300=0 total=0\n", 0.125),
            ("some avg10=0.00 avg60=0.00 avg300=0.00 total=0", 0), ("some avg10=250 total=0", 1),
            ("full avg10=1.00\nsome avg10=2.00", 0.02), ("", nil), ("some avg60=1", nil), ("some avg10=x", nil),
            ("some avg10=nan", nil),
        ] as [(String, Double?)])
    func pressure(text: String, expected: Double?) { #expect(KernelText.pressure(text) == expected) }

    @Test(
        "A number ends at the line, and `max` is none",
        arguments: [
            ("42\n", 42), ("-1\n", -1), ("9223372036854771712\n", 9_223_372_036_854_771_712), ("max\n", nil), ("", nil),
            ("\n", nil),
            ("99999999999999999999", nil), ("7 8", 7),
        ] as [(String, Int64?)])
    func number(text: String, expected: Int64?) { #expect(KernelText.number(text) == expected) }

    @Test(
        "A key is matched whole",
        arguments: [
            ("inactive_file", 7), ("total_inactive_file", 9), ("inactive", nil), ("missing", nil), ("usage_usec", nil),
            ("", nil),
        ] as [(String, UInt64?)])
    func value(key: String, expected: UInt64?) {
        let text = "cache 1\ninactive_file 7\ntotal_inactive_file 9\nusage_usec x\n"
        #expect(KernelText.value(key, in: text) == expected)
    }

    @Test(
        "Quotas become cores",
        arguments: [
            ("50000 100000\n", 0.5), ("150000 100000", 1.5), ("50000", 0.5), ("max 100000\n", nil), ("", nil),
            ("0 100000", nil),
            ("5 0", nil), ("5 x", nil), ("-5 100", nil),
        ] as [(String, Double?)])
    func quota(text: String, cores: Double?) { #expect(KernelText.coresOfMax(text) == cores) }
}
