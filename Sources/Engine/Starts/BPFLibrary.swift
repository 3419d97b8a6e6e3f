import CBPF
import Glibc

/// libbpf, loaded while running: a machine need not have it.
///
/// It stays loaded once it is.
struct BPFLibrary: Sendable {
    enum ProgramType: UInt32 {
        case rawTracepoint = 17
    }

    enum MapType: UInt32 {
        case recentlyUsed = 9
        case ring = 27
    }

    static let file = "libbpf.so.1"
    /// As the kernel asks for it: some of its helpers are only for programs that may be had under the GPL, too.
    private static let license = "Dual MIT/GPL"
    private static let logSize = 128 << 10

    private let createMap: lighter_map_create
    private let loadProgram: lighter_prog_load
    private let testProgram: lighter_prog_test_run
    private let openTracepoint: lighter_raw_tracepoint_open
    let newRing: lighter_ring_new
    let ringDescriptor: lighter_ring_int
    let consumeRing: lighter_ring_int
    let freeRing: lighter_free
    let loadTypes: lighter_btf_load
    let freeTypes: lighter_free
    let findType: lighter_btf_find
    let type: lighter_btf_type
    let name: lighter_btf_name

    init() throws(KernelRefusal) {
        guard let library = dlopen(Self.file, RTLD_NOW | RTLD_LOCAL) else {
            throw KernelRefusal(dlerror().map { String(cString: $0) } ?? "\(Self.file) cannot be loaded")
        }
        func symbol<T>(_ name: String, _: T.Type = T.self) throws(KernelRefusal) -> T {
            guard let found = dlsym(library, name) else { throw KernelRefusal("\(Self.file) has no \(name)") }
            return unsafeBitCast(found, to: T.self)
        }
        createMap = try symbol("bpf_map_create")
        loadProgram = try symbol("bpf_prog_load")
        testProgram = try symbol("bpf_prog_test_run_opts")
        openTracepoint = try symbol("bpf_raw_tracepoint_open")
        newRing = try symbol("ring_buffer__new")
        ringDescriptor = try symbol("ring_buffer__epoll_fd")
        consumeRing = try symbol("ring_buffer__consume")
        freeRing = try symbol("ring_buffer__free")
        loadTypes = try symbol("btf__load_vmlinux_btf")
        freeTypes = try symbol("btf__free")
        findType = try symbol("btf__find_by_name_kind")
        type = try symbol("btf__type_by_id")
        name = try symbol("btf__name_by_offset")
        // It would write to the standard error stream.
        let silence: lighter_set_print = try symbol("libbpf_set_print")
        _ = silence(nil)
    }

    /// - Returns: a descriptor, which the caller closes.
    func map(_ type: MapType, _ name: String, key: UInt32, value: UInt32, entries: UInt32) throws(KernelRefusal)
        -> Int32
    {
        let map = createMap(type.rawValue, name, key, value, entries, nil)
        guard map >= 0 else { throw KernelRefusal("the map \(name) is refused", number: -map) }
        return map
    }

    /// - Returns: a descriptor, which the caller closes.
    func load(_ program: BPFProgram, _ name: String) throws(KernelRefusal) -> Int32 {
        var log = [CChar](repeating: 0, count: Self.logSize)
        let loaded = log.withUnsafeMutableBufferPointer { log in
            var options = bpf_prog_load_opts()
            options.sz = MemoryLayout<bpf_prog_load_opts>.size
            options.log_buf = log.baseAddress
            options.log_size = UInt32(log.count)
            return loadProgram(
                ProgramType.rawTracepoint.rawValue, name, Self.license, program.instructions,
                program.instructions.count, &options)
        }
        guard loaded >= 0 else {
            let said = String(decoding: log.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw KernelRefusal("the program \(name) is refused", number: -loaded, log: said)
        }
        return loaded
    }

    /// Runs a program once, on this thread.
    func result(of program: Int32) throws(KernelRefusal) -> UInt32 {
        var options = bpf_test_run_opts()
        options.sz = MemoryLayout<bpf_test_run_opts>.size
        let outcome = testProgram(program, &options)
        guard outcome >= 0 else { throw KernelRefusal("a program cannot be tried", number: -outcome) }
        return options.retval
    }

    /// - Returns: a descriptor; the program is called until it is closed.
    func attach(_ program: Int32, to tracepoint: String) throws(KernelRefusal) -> Int32 {
        let link = openTracepoint(tracepoint, program)
        guard link >= 0 else { throw KernelRefusal("the tracepoint \(tracepoint) is refused", number: -link) }
        return link
    }
}

/// Why the kernel, or this machine, does not let programs be loaded into it.
package struct KernelRefusal: Error, CustomStringConvertible, Sendable, Hashable {
    package let description: String
    /// What the kernel's verifier said of the program; empty where it did not come that far.
    package let log: String

    init(_ message: String, number: Int32 = 0, log: String = "") {
        let remedy = number == EPERM || number == EACCES ? "; it takes root, or CAP_BPF and CAP_PERFMON" : ""
        description = number == 0 ? message : "\(message): \(String(cString: strerror(number)))\(remedy)"
        self.log = log
    }
}
