<?php declare(strict_types=1);

/*
 * This file is part of the Example package.
 */

namespace Example\Http;

use Closure;
use InvalidArgumentException;

/**
 * Sends requests to handlers.
 *
 * @author Nobody
 */
#[Service]
final class Router extends Base implements \Countable
{
    use LogsThings;

    public const METHODS = ['GET', 'POST'];

    /** @var array<string, Closure> */
    private array $routes = [];
    public private(set) string $prefix = '';

    /**
     * @param list<string> $methods
     */
    public function __construct(
        private readonly Container $container,
        protected array $methods = self::METHODS,
    ) {
        parent::__construct();
    }

    /**
     * Adds a route.
     *
     * @return $this
     */
    #[Pure]
    public function add(string $pattern, Closure $handler): static
    {
        if (isset($this->routes[$pattern])) {
            throw new InvalidArgumentException("Twice: {$pattern}");
        }
        $this->routes[$pattern] = $handler;

        return $this;
    }

    # Counts routes.
    public function count(): int { return count($this->routes); }

    public function __call(string $name, array $arguments): mixed
    {
        $again = function () use ($name) {
            return $this->dispatch($name);
        };

        return $again() ?? array_map(fn ($x) => $x, $arguments);
    }

    abstract protected function dispatch(string $path): Response;
}

interface Middleware
{
    public function handle(Request $request, callable $next): Response;
}

trait LogsThings
{
    protected static int $lines = 0;

    protected function log(string $line): void
    {
        error_log($line);
        self::$lines++;
    }
}

enum Status: int
{
    case Ok = 200;
    case Missing = 404;

    public static function of(int $code): self
    {
        return self::from($code);
    }
}

/** Builds a router. */
function router(?Container $container = null): Router
{
    return new Router($container ?? new Container());
}

$app = router();
$app->add('/', fn () => new Response('home'));
?>
<html><body><?= $app->run() ?></body></html>
