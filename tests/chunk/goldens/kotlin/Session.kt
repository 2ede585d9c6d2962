@file:JvmName("Sessions")

package com.example.auth

import kotlin.time.Duration
import kotlinx.coroutines.delay

/** How long a session lives. */
const val TTL = 3600

typealias Token = String

/**
 * Somebody who is logged in.
 *
 * @property user who
 */
@Serializable
data class Session<T : Any>(
    val user: String,
    val payload: T? = null,
) : Comparable<Session<T>> {
    private var seen: Long = 0

    val expired: Boolean
        get() {
            val age = now() - seen
            return age > TTL
        }

    val label get() = "session of $user"

    init {
        require(user.isNotBlank()) { "nobody" }
    }

    constructor(user: String, seen: Long) : this(user) {
        this.seen = seen
    }

    /** Marks it as used. */
    @Synchronized
    suspend fun touch(at: Long = now()): Session<T> {
        seen = at
        delay(1)
        return this
    }

    override fun compareTo(other: Session<T>): Int = seen.compareTo(other.seen)

    operator fun plus(seconds: Int) = apply { seen += seconds }

    companion object {
        // For those who are not logged in.
        val ANONYMOUS = Session<Unit>("anonymous")

        fun of(token: Token): Session<Unit> {
            return Session(token.substringBefore(':'))
        }
    }
}

sealed interface Outcome {
    data class Granted(val session: Session<*>) : Outcome

    object Denied : Outcome

    fun ok(): Boolean

    fun denied(): Boolean {
        return !ok()
    }
}

enum class Role(val level: Int) {
    GUEST(0),
    ADMIN(9) {
        override fun mayWrite() = true
    };

    open fun mayWrite(): Boolean {
        return level > 5
    }
}

object Registry {
    private val all = mutableMapOf<Token, Session<*>>()

    fun find(token: Token): Session<*>? {
        return all[token]
    }
}

fun interface Clock {
    fun millis(): Long
}

fun String.toToken(): Token = "$this:${hashCode()}"

inline fun <reified T> List<Session<*>>.payloads(): List<T> {
    return mapNotNull { it.payload as? T }
}

val String.isToken: Boolean get() = ':' in this

private val retry by lazy {
    val limit = 3
    limit * 2
}

internal fun now(): Long = System.currentTimeMillis()

fun `names may have blanks`() {
    check(Registry.find("") == null)
}

/** Refuses those who are nobody. */
val Guard = createPlugin("Guard", ::Configuration) {
    onCall { call ->
        require(call.session != Session.ANONYMOUS)
    }
}
