import CBPF
import Glibc

/// The programs that tell of containers' starts, with the maps between them and this process; attached until it is closed.
///
/// One keeps the paths of control groups that a process was put into and that may be a container's, by the group's address. The
/// other looks at every execution in the kernel, and tells only of those by the first process of a PID namespace below this
/// process's own: a container's start, and little else.
final class StartPrograms: Sendable {
    /// One execution, as the program writes it.
    struct Record {
        static let size = 16 + pathSize
        static let pathSize = 256
        static let (timeOffset, pidOffset, pathOffset) = (Int16(0), Int16(8), Int16(16))

        /// Nanoseconds of the monotonic clock.
        let time: UInt64
        /// As this process would see it.
        let pid: Int32
        /// Of its control group; empty where it is not known.
        let path: String

        init?(_ bytes: UnsafeRawBufferPointer) {
            guard bytes.count >= Self.size else { return nil }
            time = bytes.loadUnaligned(fromByteOffset: Int(Self.timeOffset), as: UInt64.self)
            pid = bytes.loadUnaligned(fromByteOffset: Int(Self.pidOffset), as: Int32.self)
            path = String(decoding: bytes[Int(Self.pathOffset)..<Self.size].prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// Enough for 60 starts within the time that a thread takes to wake up; what finds no room is lost.
    private static let ringSize: UInt32 = 16 << 10
    private static let groups: UInt32 = 1024
    /// No path with a container's id is shorter; with the slash before it and the zero behind.
    private static let shortestPath: Int32 = 66
    /// As deep as PID namespaces can be in one another.
    private static let deepest: Int32 = 32

    /// What `poll` can wait for, and `StartPrograms.consume` empties.
    let ring: Int32
    private let library: BPFLibrary
    private let descriptors: [Int32]

    init() throws(KernelRefusal) {
        library = try BPFLibrary()
        let layout = try KernelLayout.read(library)
        var opened: [Int32] = []
        do throws(KernelRefusal) {
            let own = try Self.ownLevel(layout, library, &opened)
            let ring = try library.map(.ring, "lighter_starts", key: 0, value: 0, entries: Self.ringSize)
            opened.append(ring)
            let paths = try library.map(
                .recentlyUsed, "lighter_groups", key: 8, value: UInt32(Record.pathSize), entries: Self.groups)
            opened.append(paths)
            for (program, tracepoint) in [
                (Self.attaching(paths: paths), "cgroup_attach_task"),
                (Self.executing(layout, level: own, paths: paths, ring: ring), "sched_process_exec"),
            ] {
                opened.append(try library.load(program, "lighter_\(tracepoint.prefix(7))"))
                opened.append(try library.attach(opened[opened.count - 1], to: tracepoint))
            }
            self.ring = ring
            descriptors = opened
        } catch {
            for descriptor in opened.reversed() { close(descriptor) }
            throw error
        }
    }

    deinit { for descriptor in descriptors.reversed() { close(descriptor) } }

    // MARK: - Programs

    /// Remembers the path of the group that a task is put into, or forgets what was at that address before.
    static func attaching(paths: Int32) -> BPFProgram {
        var program = BPFProgram()
        let short = program.label()
        let path = Int16(-8 - Record.pathSize)
        program.load(.double, .r2, .r1, 0)
        program.store(.double, .frame, -8, .r2)
        program.load(.double, .r3, .r1, 8)
        program.move(.r1, .frame)
        program.add(.r1, value: Int32(path))
        program.move(.r2, value: Int32(Record.pathSize))
        program.call(.readKernelText)
        program.move(.r6, .r0)
        program.map(.r1, paths)
        program.move(.r2, .frame)
        program.add(.r2, value: -8)
        program.jump(if: .r6, .less, shortestPath, to: short)
        program.move(.r3, .frame)
        program.add(.r3, value: Int32(path))
        program.move(.r4, value: 0)
        program.call(.mapUpdate)
        program.move(.r0, value: 0)
        program.exit()
        program.place(short)
        program.call(.mapDelete)
        program.move(.r0, value: 0)
        program.exit()
        return program
    }

    /// Tells of an execution by the first process of a PID namespace below `level`.
    static func executing(_ layout: KernelLayout, level: Int32, paths: Int32, ring: Int32) -> BPFProgram {
        var program = BPFProgram()
        let (end, found, pathless, submit) = (program.label(), program.label(), program.label(), program.label())
        program.load(.double, .r7, .r1, 0)
        program.read(.double, at: -8, .r7, layout.taskID)
        program.load(.double, .r8, .frame, -8)
        program.read(.word, at: -16, .r8, layout.idLevel)
        program.load(.word, .r9, .frame, -16)
        program.jump(if: .r9, .lessOrEqual, level, to: end)
        program.jump(if: .r9, .greater, deepest, to: end)
        program.multiply(.r9, value: layout.numberSize)
        program.add(.r9, .r8)
        program.read(.word, at: -16, .r9, layout.firstNumber)
        program.load(.word, .r9, .frame, -16)
        program.jump(if: .r9, .notEqual, 1, to: end)
        program.read(.word, at: -16, .r8, layout.firstNumber + level * layout.numberSize)
        program.load(.word, .r9, .frame, -16)
        // Which control group it is in, of version 2, else by the memory controller of version 1.
        program.read(.double, at: -8, .r7, layout.taskGroups)
        program.load(.double, .r8, .frame, -8)
        program.read(.double, at: -8, .r8, layout.unifiedGroup)
        program.lookUp(at: -8, in: paths)
        program.jump(if: .r0, .notEqual, 0, to: found)
        if let memoryState = layout.memoryState {
            program.read(.double, at: -8, .r8, memoryState)
            program.load(.double, .r1, .frame, -8)
            program.read(.double, at: -8, .r1, layout.stateGroup)
            program.lookUp(at: -8, in: paths)
        }
        program.place(found)
        program.move(.r8, .r0)
        program.map(.r1, ring)
        program.move(.r2, value: Int32(Record.size))
        program.move(.r3, value: 0)
        program.call(.ringReserve)
        program.jump(if: .r0, .equal, 0, to: end)
        program.move(.r7, .r0)
        program.store(.word, .r7, Record.pidOffset, .r9)
        program.call(.monotonicTime)
        program.store(.double, .r7, Record.timeOffset, .r0)
        program.jump(if: .r8, .equal, 0, to: pathless)
        program.move(.r1, .r7)
        program.add(.r1, value: Int32(Record.pathOffset))
        program.move(.r2, value: Int32(Record.pathSize))
        program.move(.r3, .r8)
        program.call(.readKernel)
        program.jump(to: submit)
        program.place(pathless)
        program.store(.byte, .r7, Record.pathOffset, value: 0)
        program.place(submit)
        program.move(.r1, .r7)
        program.move(.r2, value: 0)
        program.call(.ringSubmit)
        program.place(end)
        program.move(.r0, value: 0)
        program.exit()
        return program
    }

    /// Answers with the innermost PID namespace of the thread that runs it, and its number in there.
    private static func own(_ layout: KernelLayout) -> BPFProgram {
        var program = BPFProgram()
        program.call(.currentTask)
        program.move(.r7, .r0)
        program.read(.double, at: -8, .r7, layout.taskID)
        program.load(.double, .r8, .frame, -8)
        program.read(.word, at: -16, .r8, layout.idLevel)
        program.load(.word, .r9, .frame, -16)
        program.move(.r1, .r9)
        program.multiply(.r1, value: layout.numberSize)
        program.add(.r8, .r1)
        program.read(.word, at: -16, .r8, layout.firstNumber)
        program.load(.word, .r0, .frame, -16)
        program.shiftLeft(.r9, levelShift)
        program.or(.r0, .r9)
        program.exit()
        return program
    }

    /// Numbers of processes end below 2^22.
    private static let levelShift: Int32 = 24

    /// The depth of this process's PID namespace; proves on the way that the layout is understood.
    private static func ownLevel(
        _ layout: KernelLayout, _ library: BPFLibrary, _ opened: inout [Int32]
    ) throws(KernelRefusal) -> Int32 {
        opened.append(try library.load(own(layout), "lighter_own"))
        let answer = try library.result(of: opened[opened.count - 1])
        guard Int32(bitPattern: answer & (1 << UInt32(levelShift) - 1)) == gettid() else {
            throw KernelRefusal("the kernel's types are not what they are said to be")
        }
        return Int32(bitPattern: answer >> UInt32(levelShift))
    }

    // MARK: - What they tell

    /// Calls `told` on this thread for each record that comes, whenever `ring` is readable, until `wake` is.
    func follow(wake: Int32, told: (Record) -> Void) throws(KernelRefusal) {
        try withoutActuallyEscaping(told) { told throws(KernelRefusal) in
            let sink = Unmanaged.passRetained(Sink(told))
            defer { sink.release() }
            let sample: lighter_sample = { context, data, size in
                guard let context, let data,
                    let record = Record(UnsafeRawBufferPointer(start: data, count: size))
                else { return 0 }
                Unmanaged<Sink>.fromOpaque(context).takeUnretainedValue().told(record)
                return 0
            }
            guard let records = library.newRing(ring, sample, sink.toOpaque(), nil) else {
                throw KernelRefusal("the kernel's records cannot be read", number: errno)
            }
            defer { library.freeRing(records) }
            var polled = [
                pollfd(fd: library.ringDescriptor(records), events: Int16(POLLIN), revents: 0),
                pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
            ]
            while polled[1].revents == 0 {
                guard poll(&polled, 2, -1) >= 0 else { continue }
                if polled[0].revents != 0 { _ = library.consumeRing(records) }
            }
        }
    }

    private final class Sink {
        let told: (Record) -> Void
        init(_ told: @escaping (Record) -> Void) { self.told = told }
    }
}

extension BPFProgram {
    /// Reads the kernel's memory at `base` + `offset` to the stack; zeros where there is none.
    fileprivate mutating func read(_ width: Width, at stack: Int32, _ base: Register, _ offset: Int32) {
        move(.r3, base)
        add(.r3, value: offset)
        move(.r1, .frame)
        add(.r1, value: stack)
        move(.r2, value: width == .double ? 8 : 4)
        call(.readKernel)
    }

    /// Looks up what is at the key on the stack: its address, or 0, in `r0`.
    fileprivate mutating func lookUp(at stack: Int32, in descriptor: Int32) {
        map(.r1, descriptor)
        move(.r2, .frame)
        add(.r2, value: stack)
        call(.mapLookup)
    }
}
