/// A program for the kernel's BPF machine, put together instruction by instruction.
///
/// It has what tracing needs: loads, stores, a little arithmetic, calls of the kernel's helpers, and jumps forward to labels.
struct BPFProgram {
    /// Calls leave their result in `r0`, take arguments in `r1` to `r5` and spoil those; `frame` is the end of 512 bytes of stack.
    enum Register: UInt64 {
        case r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, frame
    }

    enum Width: UInt64 {
        case word = 0x00
        case half = 0x08
        case byte = 0x10
        case double = 0x18
    }

    enum Condition: UInt64 {
        case equal = 0x10
        case greater = 0x20
        case notEqual = 0x50
        case less = 0xa0
        case lessOrEqual = 0xb0
    }

    /// Functions of the kernel, by their numbers in `linux/bpf.h`.
    enum Helper: Int32 {
        case mapLookup = 1
        case mapUpdate = 2
        case mapDelete = 3
        case monotonicTime = 5
        case currentTask = 35
        case readKernel = 113
        case readKernelText = 115
        case ringReserve = 131
        case ringSubmit = 132
    }

    struct Label: Hashable {
        fileprivate let number: Int
    }

    /// As the kernel takes them. A jump whose label was not placed goes nowhere, and the kernel refuses the program.
    private(set) var instructions: [UInt64] = []
    private var labels = 0
    private var pending: [Label: [Int]] = [:]

    private mutating func put(
        _ code: UInt64, _ to: Register = .r0, _ from: Register = .r0, offset: Int16 = 0, _ immediate: Int32 = 0
    ) {
        instructions.append(
            code | to.rawValue << 8 | from.rawValue << 12 | UInt64(UInt16(bitPattern: offset)) << 16
                | UInt64(UInt32(bitPattern: immediate)) << 32)
    }

    mutating func load(_ width: Width, _ to: Register, _ base: Register, _ offset: Int16) {
        put(0x61 | width.rawValue, to, base, offset: offset)
    }

    mutating func store(_ width: Width, _ base: Register, _ offset: Int16, _ from: Register) {
        put(0x63 | width.rawValue, base, from, offset: offset)
    }

    mutating func store(_ width: Width, _ base: Register, _ offset: Int16, value: Int32) {
        put(0x62 | width.rawValue, base, offset: offset, value)
    }

    mutating func move(_ to: Register, _ from: Register) { put(0xbf, to, from) }
    mutating func move(_ to: Register, value: Int32) { put(0xb7, to, .r0, value) }
    mutating func add(_ to: Register, _ from: Register) { put(0x0f, to, from) }
    mutating func add(_ to: Register, value: Int32) { put(0x07, to, .r0, value) }
    mutating func multiply(_ to: Register, value: Int32) { put(0x27, to, .r0, value) }
    mutating func or(_ to: Register, _ from: Register) { put(0x4f, to, from) }
    mutating func shiftLeft(_ to: Register, _ bits: Int32) { put(0x67, to, .r0, bits) }

    /// The map behind a descriptor of the process that loads the program.
    mutating func map(_ to: Register, _ descriptor: Int32) {
        instructions.append(0x18 | to.rawValue << 8 | 1 << 12 | UInt64(UInt32(bitPattern: descriptor)) << 32)
        instructions.append(0)
    }

    mutating func call(_ helper: Helper) { put(0x85, .r0, .r0, helper.rawValue) }
    mutating func exit() { put(0x95) }

    mutating func label() -> Label {
        labels += 1
        return Label(number: labels)
    }

    mutating func jump(to label: Label) {
        pending[label, default: []].append(instructions.count)
        put(0x05)
    }

    mutating func jump(if register: Register, _ condition: Condition, _ value: Int32, to label: Label) {
        pending[label, default: []].append(instructions.count)
        put(0x05 | condition.rawValue, register, .r0, value)
    }

    /// Where the jumps to a label so far go.
    mutating func place(_ label: Label) {
        for index in pending.removeValue(forKey: label) ?? [] {
            let distance = UInt16(truncatingIfNeeded: instructions.count - index - 1)
            instructions[index] |= UInt64(distance) << 16
        }
    }
}
