import Fleet
import Testing

@Suite("Inventory checksum")
struct InventoryChecksumTests {
    private func entries(_ count: Int) -> [(WorkloadID, Version)] {
        (0..<count).map { (WorkloadID.random(), Version(epoch: UInt64($0 % 3), sequence: UInt64($0))) }
    }

    @Test("The order of entries does not matter")
    func order() {
        let entries = entries(100)
        #expect(InventoryChecksum(entries.shuffled()) == InventoryChecksum(entries))
        #expect(InventoryChecksum([(WorkloadID, Version)]()).value == 0)
    }

    @Test("Adding and removing keep it up to date")
    func incremental() {
        let entries = entries(50)
        var checksum = InventoryChecksum(entries)
        checksum.remove(entries[7].0, entries[7].1)
        var rest = entries
        rest.remove(at: 7)
        #expect(checksum == InventoryChecksum(rest))
    }

    @Test("A lost entry, another epoch, another sequence and swapped versions all show")
    func differences() {
        let entries = entries(20)
        let whole = InventoryChecksum(entries)
        #expect(InventoryChecksum(entries.dropLast()) != whole)
        var other = entries
        other[3].1.epoch += 1
        #expect(InventoryChecksum(other) != whole)
        other = entries
        other[3].1 = Version(epoch: other[3].1.sequence, sequence: other[3].1.epoch)
        #expect(InventoryChecksum(other) != whole)
        other = entries
        (other[3].1, other[4].1) = (other[4].1, other[3].1)
        #expect(InventoryChecksum(other) != whole)
    }

    @Test("Two copies of one entry do not cancel out")
    func noCancellation() {
        let entry = entries(1)
        #expect(InventoryChecksum(entry + entry).value != 0)
    }

    @Test("The value is the same on every machine and in every version")
    func stable() throws {
        let id = try WorkloadID("000102030405060708090a0b0c0d0e0f")
        let checksum = InventoryChecksum([(id, Version(epoch: 1, sequence: 2))])
        #expect(checksum.value == 0x8ec4_6608_b36a_2fbd)
    }

}
