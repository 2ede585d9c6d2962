package com.example
package parse

import scala.annotation.tailrec
import scala.util.control.NonFatal

/** Why parsing stopped. */
sealed trait Failure extends Product with Serializable

object Failure {
  final case class Unexpected(at: Int, found: Char) extends Failure
  case object End extends Failure
}

/**
 * Turns text into values.
 *
 * {{{
 * Parser.int.run("42")
 * }}}
 */
abstract class Parser[+A] { self =>
  type Result[B] = Either[Failure, (B, String)]

  /** Runs it. */
  def run(text: String): Result[A]

  final def map[B](f: A => B): Parser[B] =
    new Parser[B] {
      def run(text: String): Result[B] = self.run(text).map { case (a, rest) => (f(a), rest) }
    }

  // Tries the other one from the start.
  def |[B >: A](other: => Parser[B]): Parser[B] = Parser.from { text =>
    self.run(text) match {
      case Left(_) => other.run(text)
      case right   => right
    }
  }

  @deprecated("use many", "1.2.0")
  def rep: Parser[List[A]] = many

  def many: Parser[List[A]]

  protected lazy val name: String = getClass.getSimpleName
}

object Parser extends ParserInstances {
  private val Digits = '0' to '9'

  def from[A](f: String => Either[Failure, (A, String)]): Parser[A] = ???

  val int: Parser[Int] = digits.map(_.toInt)

  val twice = (n: Int) => {
    val doubled = n * 2
    doubled
  }

  @tailrec
  def skip(text: String, n: Int = 0): Int = {
    if (text.isEmpty || text.head != ' ') n
    else skip(text.tail, n + 1)
  }

  implicit class Ops(private val text: String) extends AnyVal {
    def parse[A](parser: Parser[A]): Either[Failure, A] = parser.run(text).map(_._1)
  }
}

private[parse] trait ParserInstances {
  implicit val monad: Monad[Parser] = new Monad[Parser] {
    def pure[A](a: A): Parser[A] = Parser.from(text => Right((a, text)))

    def flatMap[A, B](fa: Parser[A])(f: A => Parser[B]): Parser[B] = {
      Parser.from(text => fa.run(text).flatMap { case (a, rest) => f(a).run(rest) })
    }
  }

  implicit def semigroup[A: Semigroup]: Semigroup[Parser[A]] =
    Semigroup.instance((x, y) => x)
}

enum Token(val text: String):
  case Open extends Token("(")
  case Close extends Token(")")

  def width: Int =
    text.length

given ordering: Ordering[Token] with
  def compare(a: Token, b: Token): Int = a.width - b.width

extension (token: Token)
  def quoted: String = s"'${token.text}'"

@main def demo(args: String*): Unit =
  try println(args.head.parse(Parser.int))
  catch case NonFatal(error) => println(error)
