{-# LANGUAGE CPP #-}
{-# LANGUAGE TypeFamilies #-}

-- | A queue with two ends.
--
-- Amortised constant time.
module Data.Example.Queue
  ( Queue
  , empty
  , push
  ) where

#if MIN_VERSION_base(4,18,0)
import Data.List.NonEmpty (NonEmpty (..))
#endif
import qualified Data.Map.Strict as Map

-- | Front and back, the back reversed.
data Queue a = Queue
  { front :: [a]
  , back  :: [a]
  }
  deriving (Show, Eq)

newtype Size = Size Int

type Pair a = (a, a)

-- | Things that hold elements.
class Container f where
  -- | Nothing in it.
  none :: f a
  insert :: a -> f a -> f a
  insertAll :: [a] -> f a -> f a
  insertAll xs q = foldr insert q xs
  {-# MINIMAL none, insert #-}

instance Container Queue where
  none = empty
  insert = push

instance Functor Queue where
  fmap f (Queue xs ys) =
    Queue (map f xs) (map f ys)

-- | An empty queue.
empty :: Queue a
empty = Queue [] []

-- | Puts an element at the back.
push :: a -> Queue a -> Queue a
push x (Queue xs ys) = Queue xs (x : ys)
{-# INLINE push #-}

-- | Takes the element at the front.
pop
  :: Queue a
  -> Maybe (a, Queue a)
pop (Queue [] []) = Nothing
pop (Queue [] ys) = pop (Queue (reverse ys) [])

pop (Queue (x : xs) ys) = Just (x, rest)
  where
    rest = Queue xs ys
    unused y = y

infixr 5 |>
(|>) :: a -> Queue a -> Queue a
x |> q = push x q

size, length' :: Queue a -> Int
size (Queue xs ys) = length xs + length ys
length' = size

isEmpty q = size q == 0

#ifdef DEBUG
trace :: Show a => a -> a
trace x = x
#else
trace :: a -> a
trace = id
#endif

type family Element c where
  Element (Queue a) = a
  Element [a] = a

{- Not a definition:
fake = 1
-}

a `swap` b = (b, a)

main :: IO ()
main = do
  let q = push 1 empty
  print (size q)
