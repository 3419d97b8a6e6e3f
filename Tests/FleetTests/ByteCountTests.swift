import Fleet
import Testing

@Suite("ByteCount")
struct ByteCountTests {
    @Test(
        "Counts read in binary units",
        arguments: [
            (ByteCount(0), "0 B"), (ByteCount(1023), "1023 B"), (ByteCount(1024), "1 KiB"),
            (ByteCount(1536), "1.5 KiB"),
            (.mebibytes(64), "64 MiB"), (ByteCount((1 << 30) * 3 / 2), "1.5 GiB"), (.gibibytes(2048), "2048 GiB"),
            (ByteCount(-1536), "-1.5 KiB"), (ByteCount((1 << 20) - 1), "1 MiB"), (ByteCount((1 << 30) - 1), "1 GiB"),
        ])
    func text(count: ByteCount, expected: String) { #expect(count.description == expected) }

    @Test("The extremes have a text too", arguments: [ByteCount(.max), ByteCount(.min)])
    func extremes(count: ByteCount) { #expect(count.description.hasSuffix(" GiB")) }

    @Test("Sums and differences stop at the ends of the range")
    func saturation() {
        #expect(ByteCount(.max) + ByteCount(1) == ByteCount(.max))
        #expect(ByteCount(.min) + ByteCount(-1) == ByteCount(.min))
        #expect(ByteCount(.min) - ByteCount(1) == ByteCount(.min))
        #expect(ByteCount(.max) - ByteCount(-1) == ByteCount(.max))
        #expect(ByteCount(5) + ByteCount(7) == ByteCount(12))
        #expect(ByteCount(5) - ByteCount(7) == ByteCount(-2))
        var sum = ByteCount(.max)
        sum += ByteCount(.max)
        #expect(sum == ByteCount(.max))
    }
}
