# frozen_string_literal: true

require "bigdecimal"
require "set"

# Everything about money.
module Accounting
  # Raised when the two sides differ.
  class Unbalanced < StandardError; end

  Entry = Struct.new(:account, :amount) do
    def debit?
      amount.positive?
    end
  end

  # A book of entries.
  #
  #   ledger = Ledger.new
  class Ledger
    include Enumerable
    include Comparable

    CURRENCIES = %w[EUR USD].to_set.freeze

    attr_reader :entries, :currency

    class << self
      # Reads a file.
      def load(path)
        new.tap { |ledger| File.foreach(path) { |line| ledger << parse(line) } }
      end

      private

      def parse(line)
        account, amount = line.split
        Entry.new(account, BigDecimal(amount))
      end
    end

    def self.empty?(ledger) = ledger.entries.empty?

    def initialize(currency = "EUR")
      @currency = currency
      @entries = []
    end

    # Adds an entry.
    # @return [self]
    def <<(entry)
      @entries << entry
      self
    end

    def each(&block)
      return enum_for(:each) unless block

      @entries.each(&block)
    end

    def balanced?
      sum(&:amount).zero?
    end

    alias ok? balanced?
    alias_method :add, :<<

    %i[debit credit].each do |side|
      define_method(:"#{side}s") { select(&:"#{side}?") }
    end

    define_method(:close!) do |at: Time.now|
      raise Unbalanced unless balanced?
      @closed = at
    end

    def [](index) = entries[index]

    def currency=(value)
      raise ArgumentError, value unless CURRENCIES.include?(value)
      @currency = value
    end

    private

    def report
      <<~TEXT
        # not a comment
        def not_a_method
        end
      TEXT
    end

    protected def secret; 42; end
  end
end

class Accounting::Ledger::Page
  def number; end
end

task :audit do
  puts Accounting::Ledger.load("ledger.txt").balanced?
end

def main
  puts Accounting::Ledger.new.to_a
end

RSpec.describe Accounting::Ledger do
  subject(:ledger) { described_class.new }

  describe "#<<" do
    it "keeps the entry" do
      ledger << entry
      expect(ledger.entries).to eq [entry]
    end

    it { is_expected.to be_balanced }
  end
end
