defmodule Example.Bucket do
  @moduledoc """
  A bucket that leaks: so many requests a second.

      iex> Example.Bucket.new(5)
  """

  use GenServer
  require Logger
  alias Example.Clock

  @default_rate 10
  @type t :: %__MODULE__{rate: pos_integer(), level: float()}

  defstruct rate: @default_rate, level: 0.0

  @doc """
  Makes a bucket.
  """
  @spec new(pos_integer()) :: t()
  def new(rate \\ @default_rate) when rate > 0 do
    %__MODULE__{rate: rate}
  end

  @doc "Takes one; `:full` when there is none."
  @doc since: "1.1.0"
  def take(%__MODULE__{level: level, rate: rate}) when level >= rate, do: :full

  def take(%__MODULE__{} = bucket) do
    {:ok, %{bucket | level: bucket.level + 1}}
  end

  @doc "Takes several."
  def take(bucket, 0), do: {:ok, bucket}

  def take(bucket, n) do
    with {:ok, bucket} <- take(bucket), do: take(bucket, n - 1)
  end

  # Drops what has leaked since.
  defp leak(bucket, seconds), do: %{bucket | level: max(0.0, bucket.level - bucket.rate * seconds)}

  defguard is_full(bucket) when bucket.level >= bucket.rate

  defdelegate now(), to: Clock

  @impl true
  def init(rate), do: {:ok, new(rate)}

  @impl GenServer
  def handle_call(:take, _from, state) do
    Logger.debug("take")

    case take(state) do
      {:ok, state} -> {:reply, :ok, state}
      :full -> {:reply, :full, leak(state, 1)}
    end
  end

  @doc false
  defmacro bucket!(name) do
    quote do
      def unquote(name)(), do: Example.Bucket.new()
    end
  end

  def left ~> right, do: {left, right}
end

defprotocol Example.Leaky do
  @doc "How fast it leaks."
  def rate(leaky)
end

defimpl Example.Leaky, for: Example.Bucket do
  def rate(bucket), do: bucket.rate
end

defmodule Example.BucketTest do
  use ExUnit.Case, async: true

  describe "take/1" do
    test "fills up" do
      assert {:ok, _} = Example.Bucket.take(Example.Bucket.new(1))
    end
  end

  defmodule Fake do
    def now, do: 0
  end
end
