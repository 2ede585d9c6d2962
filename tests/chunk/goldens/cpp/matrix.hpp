#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <vector>

#define MATRIX_INLINE inline __attribute__((always_inline))

namespace numeric {
namespace detail {

template <typename T>
struct is_scalar : std::false_type {};

template <>
struct is_scalar<double> : std::true_type {};

template <typename T, typename U>
constexpr auto mixed(T a, U b) noexcept -> decltype(a * b) {
  return a * b;
}

}  // namespace detail

/// Row-major matrix of scalars.
template <typename T = double>
class Matrix : public std::enable_shared_from_this<Matrix<T>> {
 public:
  using value_type = T;

  explicit Matrix(std::size_t rows, std::size_t columns)
      : rows_(rows), columns_(columns), cells_(rows * columns) {}

  Matrix(const Matrix&) = default;
  Matrix(Matrix&& other) noexcept = delete;

  virtual ~Matrix() { cells_.clear(); }

  /// The cell at ROW and COLUMN.
  T& operator()(std::size_t row, std::size_t column) {
    return cells_[row * columns_ + column];
  }

  explicit operator bool() const { return !cells_.empty(); }

  Matrix& operator+=(const Matrix& other);

  [[nodiscard]] T trace() const;

  template <typename F>
  void each(F&& f) {
    for (auto& cell : cells_) f(cell);
  }

  friend bool operator==(const Matrix& a, const Matrix& b) {
    return a.cells_ == b.cells_;
  }

  class RowIterator {
   public:
    RowIterator& operator++() {
      ++row_;
      return *this;
    }

   private:
    std::size_t row_ = 0;
  };

 private:
  std::size_t rows_;
  std::size_t columns_;
  std::vector<T> cells_;
};

/// Adds cell by cell.
template <typename T>
Matrix<T>& Matrix<T>::operator+=(const Matrix& other) {
  if (other.rows_ != rows_) throw std::invalid_argument("shape");
  for (std::size_t i = 0; i < cells_.size(); ++i) cells_[i] += other.cells_[i];
  return *this;
}

template <typename T>
T Matrix<T>::trace() const
{
  T sum{};
  for (std::size_t i = 0; i < rows_; ++i) sum += cells_[i * columns_ + i];
  return sum;
}

enum class Order : unsigned char { row, column };

namespace {
const int kBlock = 64;

int blocks(int n) { return (n + kBlock - 1) / kBlock; }
}  // namespace

inline namespace v2 {
std::unique_ptr<Matrix<>> identity(std::size_t n) {
  auto result = std::make_unique<Matrix<>>(n, n);
  auto set = [&](std::size_t i) { (*result)(i, i) = 1; };
  for (std::size_t i = 0; i < n; ++i) set(i);
  return result;
}
}  // namespace v2

}  // namespace numeric

extern "C" {
int numeric_version() { return 2; }
}
