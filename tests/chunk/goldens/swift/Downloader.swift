//
//  Downloader.swift
//
//  Copyright (c) 2024 Example. Licensed under MIT.
//

import Foundation

/// What can go wrong.
public enum DownloadError: Error, Equatable {
    case offline
    case status(code: Int)

    /// Worth another try?
    var isTransient: Bool {
        switch self {
        case .offline: return true
        case let .status(code): return code >= 500
        }
    }
}

public protocol Transport: AnyObject {
    var timeout: TimeInterval { get set }
    func fetch(_ url: URL) async throws -> Data
    init()
}

/// Fetches files, a few at a time.
@available(macOS 12, *)
public final class Downloader<T: Transport>: NSObject {
    public typealias Completion = (Result<Data, DownloadError>) -> Void

    private let transport: T
    private var waiting: [URL] = []
    @Published var progress = 0.0

    public var isIdle: Bool { waiting.isEmpty }

    public init(transport: T = T()) {
        self.transport = transport
        super.init()
    }

    convenience init?(url: URL) {
        self.init()
        waiting.append(url)
    }

    deinit {
        waiting.removeAll()
    }

    /// Starts a download.
    ///
    /// - Parameter url: what to fetch
    @discardableResult
    public func download(_ url: URL, retries: Int = 3) async throws -> Data {
        for attempt in 0..<retries {
            do {
                return try await transport.fetch(url)
            } catch let error as DownloadError where error.isTransient {
                try await Task.sleep(nanoseconds: 1 << attempt)
            }
        }
        throw DownloadError.offline
    }

    subscript(index: Int) -> URL {
        get {
            waiting[index]
        }
        set {
            waiting[index] = newValue
        }
    }

    static func == (lhs: Downloader, rhs: Downloader) -> Bool {
        lhs === rhs
    }

    struct Ticket {
        let url: URL
    }
}

// MARK: - Queue

extension Downloader {
    func enqueue(_ urls: [URL]) {
        waiting += urls
    }
}

extension URL: ExpressibleByStringLiteral {
    public init(stringLiteral value: String) {
        self.init(string: value)!
    }
}

actor Counter {
    private var value = 0

    func next() -> Int {
        value += 1
        return value
    }
}

#if DEBUG
func trace(_ message: @autoclosure () -> String) {
    print(message())
}
#endif

let double = { (x: Int) -> Int in x * 2 }
